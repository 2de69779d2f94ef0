"use strict";
// The first page: sort and filter the contact sheet, move through it by keys; in a single file, show one clip in its place.
(() => {
  const sheet = document.querySelector("#sheet");
  if (!sheet) return;
  const cards = [...sheet.children], form = document.querySelector("#filters"), direction = document.querySelector("#direction");
  const count = document.querySelector("#count"), empty = document.querySelector("#empty"), main = document.querySelector("main");
  const view = document.querySelector("#clip");
  const words = new Intl.Collator("en", { numeric: true });
  const FILTERS = ["subject", "label", "AU", "flag"];
  const found = new Map(cards.map((card) => [card, card.textContent.toLowerCase() + " " + card.dataset.id.toLowerCase()]));
  let falling = false;

  const fits = (card) => {
    const told = card.dataset, want = (name) => form.elements[name].value;
    const flags = told.flag ? told.flag.split(",") : [];
    return (want("subject") === "*" || told.subject === want("subject"))
      && (want("label") === "*" || told.label === want("label"))
      && (want("AU") === "*" || told.au.split(" ").includes(want("AU")))
      && (want("flag") === "*" || (want("flag") === "any" ? flags.some((f) => f !== "repaired" && f !== "changed")
        : flags.includes(want("flag"))))
      && form.elements.find.value.toLowerCase().split(/\s+/).every((word) => found.get(card).includes(word));
  };

  const compare = (a, b) => {
    const by = form.elements.sort.value, way = falling ? -1 : 1;
    const text = () => words.compare(a.dataset[by], b.dataset[by]);
    // What was not measured comes last, whichever way.
    const number = (value) => (value === "" ? -way * -Infinity : Number(value));
    const difference = {
      flags: () => (a.dataset.flag ? a.dataset.flag.split(",").length : 0) - (b.dataset.flag ? b.dataset.flag.split(",").length : 0),
      motion: () => number(a.dataset.motion) - number(b.dataset.motion),
      high: () => number(a.dataset.high) - number(b.dataset.high),
      frames: () => number(a.dataset.frames) - number(b.dataset.frames),
    }[by] ?? text;
    return way * (difference() || 0) || words.compare(a.dataset.id, b.dataset.id);
  };

  const show = () => {
    const shown = cards.filter(fits);
    for (const card of cards) card.hidden = true;
    for (const card of shown) card.hidden = false;
    sheet.append(...[...cards].sort(compare));
    count.textContent = `${shown.length} of ${cards.length}`;
    empty.hidden = shown.length > 0;
    direction.textContent = falling ? "↓" : "↑";
    direction.setAttribute("aria-label", `order: ${falling ? "descending" : "ascending"}`);
    for (const select of form.querySelectorAll("select")) {
      select.classList.toggle("set", select.value !== "*" && select.name !== "sort");
    }
  };

  // Filters live in the address, so that the back button, and a bar of a chart, bring them back.
  const write = () => {
    const told = new URLSearchParams();
    for (const name of FILTERS) if (form.elements[name].value !== "*") told.set(name, form.elements[name].value);
    if (form.elements.find.value) told.set("find", form.elements.find.value);
    if (form.elements.sort.value !== "id") told.set("sort", form.elements.sort.value);
    if (falling) told.set("order", "down");
    history.replaceState(null, "", `#${told.size ? told : "contact"}`);
  };
  const read = () => {
    const told = new URLSearchParams(location.hash.slice(1));
    for (const name of FILTERS) form.elements[name].value = told.get(name) ?? "*";
    for (const name of FILTERS) if (form.elements[name].selectedIndex < 0) form.elements[name].value = "*";
    form.elements.find.value = told.get("find") ?? "";
    form.elements.sort.value = told.get("sort") ?? "id";
    if (form.elements.sort.selectedIndex < 0) form.elements.sort.value = "id";
    falling = told.get("order") === "down";
    show();
  };

  // A clip of a single file.
  let place = 0;
  const open = (name) => {
    const kept = document.getElementById(`clip/${name}`);
    if (!kept) return;
    if (view.hidden) place = scrollY;
    view.innerHTML = kept.textContent;
    const near = cards.filter((card) => !card.hidden).map((card) => card.querySelector("a").getAttribute("href"));
    const at = near.indexOf(`#clip/${name}`), bar = document.createElement("nav");
    bar.className = "around";
    const link = (rel, href, text) => { bar.append(Object.assign(document.createElement("a"), { rel, href, textContent: text })); };
    link("up", "#contact", "contact sheet");
    if (at > 0) link("prev", near[at - 1], "‹ before");
    if (at >= 0 && at + 1 < near.length) link("next", near[at + 1], "after ›");
    view.prepend(bar);
    main.hidden = true;
    view.hidden = false;
    report.startClip(view);
    scrollTo(0, 0);
    view.querySelector("h1").focus({ preventScroll: true });
  };
  const close = () => {
    if (!view || view.hidden) return false;
    report.stopClip();
    view.hidden = true;
    view.textContent = "";
    main.hidden = false;
    scrollTo(0, place);
    return true;
  };

  const follow = () => {
    const hash = decodeURIComponent(location.hash);
    if (hash.startsWith("#clip/") && view) return open(hash.slice(6));
    const back = close();
    if (hash.includes("=")) {
      read();
      document.querySelector("#contact").scrollIntoView();
    } else if (back && hash.length > 1 && hash !== "#contact") {
      document.querySelector(hash)?.scrollIntoView();
    }
  };

  form.addEventListener("input", () => { show(); write(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    history.replaceState(null, "", "#contact");
    read();
  });
  direction.addEventListener("click", () => { falling = !falling; show(); write(); });
  addEventListener("hashchange", follow);

  const move = (by) => () => {
    if (view && !view.hidden) {
      const link = view.querySelector(`.around a[rel=${by > 0 ? "next" : "prev"}]`);
      return link ? link.click() : false;
    }
    const links = [...sheet.querySelectorAll("li:not([hidden]) > a")], at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
    return Boolean(next);
  };
  report.keys.set("j", move(1));
  report.keys.set("k", move(-1));
  report.keys.set("u", () => { if (view && !view.hidden) location.hash = "#contact"; else return false; });
  report.keys.set("/", () => { close(); form.elements.find.focus(); form.elements.find.select(); });
  // Browsers keep what was chosen in a form over a reload; the address decides instead.
  read();
  follow();
})();
