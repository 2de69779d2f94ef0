"use strict";
// Every page: theme, key list, copy buttons. Scripts are plain, not modules: browsers load no module from a disk.
const report = { keys: new Map() };

(() => {
  const root = document.documentElement;
  const remembered = () => { try { return localStorage.getItem("mer-pipe-theme"); } catch { return null; } };
  const paint = (theme) => { if (theme) root.dataset.theme = theme; };
  paint(remembered());

  const turn = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    paint(dark ? "light" : "dark");
    try { localStorage.setItem("mer-pipe-theme", root.dataset.theme); } catch { /* a page that keeps nothing still works */ }
  };
  const help = () => { const list = document.querySelector("#keys"); list.open ? list.close() : list.showModal(); };

  report.keys.set("t", turn);
  report.keys.set("?", help);

  const copy = async (button) => {
    const text = button.dataset.copy, label = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "copied";
    setTimeout(() => { button.textContent = label; }, 1200);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if ("copy" in button.dataset) copy(button);
    if ("themeSwitch" in button.dataset) turn();
    if ("keys" in button.dataset) help();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const field = event.target;
    const typing = field.matches?.("input:not([type=range]):not([type=checkbox]), select, textarea");
    if (typing) { if (event.key === "Escape") field.blur(); return; }
    // Buttons keep their own space and enter, sliders their own arrows.
    if (event.key === " " && field.matches?.("button, summary, input[type=checkbox]")) return;
    if (event.key.startsWith("Arrow") && field.matches?.("input[type=range]")) return;
    const act = report.keys.get(event.key);
    if (act && act(event) !== false) event.preventDefault();
  });
})();
