// Comfort only: every page works without this.
(() => {
  "use strict";
  const base = document.body.dataset.base || "";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Theme: system, light, dark.
  const themes = ["system", "light", "dark"];
  const stored = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  let theme = themes.includes(stored) ? stored : "system";
  const paint = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    for (const button of $$("[data-theme-button]")) { button.hidden = false; button.textContent = "Theme: " + theme; }
  };
  const turn = () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem("theme", theme); } catch { /* private windows */ }
    paint();
  };
  paint();
  for (const button of $$("[data-theme-button]")) button.addEventListener("click", turn);

  // Copy buttons.
  const say = (button, text) => {
    const label = button.lastChild;
    const before = label.textContent;
    label.textContent = text;
    setTimeout(() => { label.textContent = before; }, 1500);
  };
  for (const button of $$("[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const from = document.getElementById(button.dataset.copy);
      try { await navigator.clipboard.writeText(from.textContent); say(button, "Copied"); } catch { say(button, "Not allowed"); }
    });
  }

  // Select all rows.
  const all = $("[data-all]");
  if (all) {
    all.hidden = false;
    all.addEventListener("change", () => { for (const pick of $$(".pick")) pick.checked = all.checked; });
  }

  // Keyboard: single keys act outside fields only, on what is visible.
  const rows = () => $$("table.tk tbody tr");
  const move = (step) => {
    const list = rows();
    if (!list.length) return;
    const at = list.findIndex((row) => row.getAttribute("aria-current") === "true");
    const next = list[Math.max(0, Math.min(list.length - 1, at + step))];
    for (const row of list) row.removeAttribute("aria-current");
    next.setAttribute("aria-current", "true");
    next.scrollIntoView({ block: "nearest" });
  };
  const current = () => rows().find((row) => row.getAttribute("aria-current") === "true");
  const go = { o: "/", t: "/tickets", h: "/held", f: "/findings", p: "/projects" };
  let pending = false;
  const help = () => {
    const open = $("#help");
    if (open) { open.remove(); return; }
    const plate = document.createElement("div");
    plate.id = "help";
    plate.className = "plate help";
    plate.setAttribute("role", "dialog");
    plate.setAttribute("aria-label", "Keyboard");
    const list = document.createElement("ul");
    const lines = [["Search", "/"], ["Down, up", "j k"], ["Open", "↵"], ["Select", "x"], ["Copy for an agent", "c"],
      ["Go to tickets, overview, held, findings, projects", "g t o h f p"], ["Theme", "t"], ["Close", "Esc"]];
    for (const [name, keys] of lines) {
      const item = document.createElement("li");
      item.textContent = name;
      const end = document.createElement("span");
      for (const key of keys.split(" ")) { const k = document.createElement("kbd"); k.textContent = key; end.append(k, " "); }
      item.append(end);
      list.append(item);
    }
    plate.append(list);
    document.body.append(plate);
  };
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.key === "Escape") { $("#help")?.remove(); if (target instanceof HTMLElement) target.blur(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target instanceof Element && target.closest("input, textarea, select, [contenteditable]")) return;
    if (pending) {
      pending = false;
      if (go[event.key]) { location.href = base + go[event.key]; event.preventDefault(); }
      return;
    }
    switch (event.key) {
      case "/": {
        const q = $("#q");
        if (q) { q.focus(); q.select(); } else location.href = base + "/tickets#q";
        break;
      }
      case "j": move(1); break;
      case "k": move(-1); break;
      case "x": { const pick = current()?.querySelector(".pick"); if (pick) pick.checked = !pick.checked; break; }
      case "Enter": { const link = current()?.querySelector("a.t"); if (!link || target instanceof HTMLAnchorElement || target instanceof HTMLButtonElement) return; location.href = link.href; break; }
      case "c": $("[data-copy=agent]")?.click(); break;
      case "g": pending = true; setTimeout(() => { pending = false; }, 1000); break;
      case "t": turn(); break;
      case "?": help(); break;
      default: return;
    }
    event.preventDefault();
  });
  if (location.hash === "#q") $("#q")?.focus();
})();
