"use strict";
// A clip's article: flipping frames, players with a slider, arrows, keys.
(() => {
  let playing = null;

  const stop = () => {
    if (!playing) return;
    clearInterval(playing.timer);
    playing.button.textContent = "▶ play";
    playing.button.setAttribute("aria-pressed", "false");
    playing = null;
  };

  const flipper = (figure) => {
    const frames = [...figure.querySelectorAll("[data-frame]")];
    const buttons = [...figure.querySelectorAll("[data-show]")];
    const show = (name) => {
      for (const frame of frames) frame.hidden = frame.dataset.frame !== name;
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.show === name));
    };
    const flip = () => show(frames[0].hidden ? frames[0].dataset.frame : (frames[1] ?? frames[0]).dataset.frame);
    for (const button of buttons) button.addEventListener("click", () => show(button.dataset.show));
    figure.querySelector("[data-stage]").addEventListener("click", flip);
    return flip;
  };

  const player = (figure) => {
    const large = figure.querySelector("[data-large]"), slider = figure.querySelector("input[type=range]");
    const output = figure.querySelector("output"), button = figure.querySelector("[data-play]");
    const items = [...figure.querySelectorAll("[data-at]")], change = figure.querySelector("[data-change]");
    const draw = () => {
      const at = Number(slider.value), item = items[at], label = item.querySelector("span").textContent;
      const picture = item.querySelector(change?.checked ? ".change" : ".picture");
      large.src = picture.src;
      large.alt = picture.alt;
      output.textContent = label;
      slider.setAttribute("aria-valuetext", label);
      for (const [i, other] of items.entries()) other.setAttribute("aria-pressed", String(i === at));
      figure.classList.toggle("changed", Boolean(change?.checked));
    };
    const go = (at) => { slider.value = Math.max(0, Math.min(items.length - 1, at)); draw(); };
    const step = (by) => { stop(); go(Number(slider.value) + by); };
    const play = () => {
      const own = playing?.button === button;
      stop();
      if (own) return;
      let way = 1;
      const tick = () => {
        const at = Number(slider.value);
        if (at + way < 0 || at + way >= items.length) way = -way;
        go(at + way);
      };
      button.textContent = "❚❚ stop";
      button.setAttribute("aria-pressed", "true");
      playing = { button, timer: setInterval(tick, 160) };
    };
    slider.addEventListener("input", () => { stop(); draw(); });
    change?.addEventListener("change", draw);
    button.addEventListener("click", play);
    for (const [i, item] of items.entries()) item.addEventListener("click", () => { stop(); go(i); });
    draw();
    return { step, play, toggle: change ? () => { change.checked = !change.checked; draw(); } : null };
  };

  report.startClip = (article) => {
    stop();
    const flip = [...article.querySelectorAll("[data-flip]")].map(flipper)[0];
    const players = [...article.querySelectorAll("[data-player]")].map(player);
    for (const box of article.querySelectorAll("[data-arrows]")) {
      const arrows = box.closest("figure").querySelector(".arrows");
      box.addEventListener("change", () => arrows.classList.toggle("off", !box.checked));
    }
    const first = players[0];
    report.keys.set("f", () => (flip ? flip() : false));
    report.keys.set(" ", () => (first ? first.play() : false));
    report.keys.set("ArrowRight", () => (first ? first.step(1) : false));
    report.keys.set("ArrowLeft", () => (first ? first.step(-1) : false));
    report.keys.set("d", () => (first?.toggle ? first.toggle() : false));
  };
  report.stopClip = () => {
    stop();
    for (const key of ["f", " ", "ArrowRight", "ArrowLeft", "d"]) report.keys.delete(key);
  };

  const own = document.querySelector("main > article.clip");
  if (own) {
    const go = (rel) => () => {
      const link = document.querySelector(`.around a[rel=${rel}]`);
      return link ? link.click() : false;
    };
    report.startClip(own);
    report.keys.set("j", go("next"));
    report.keys.set("k", go("prev"));
    report.keys.set("u", go("up"));
  }
})();
