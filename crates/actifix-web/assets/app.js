// Comfort only: every page works without this.
(() => {
  "use strict";
  const root = document.documentElement;
  const base = document.body.dataset.base || "";
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");

  // Theme: system, light, dark. The server reads the same cookie.
  const themes = ["system", "light", "dark"];
  const theme = () => root.dataset.theme || "system";
  const keep = () => {
    const words = [theme() === "system" ? "" : theme(), root.dataset.density || "", document.body.dataset.keys === "off" ? "keyless" : ""];
    const value = words.filter(Boolean).join(".");
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = "actifix-look=" + value + "; Path=/; SameSite=Strict; Max-Age=" + (value ? 34560000 : 0) + secure;
  };
  const label = () => {
    for (const button of $$("[data-theme-button]")) { button.hidden = false; button.textContent = "Theme: " + theme(); }
  };
  const turn = () => {
    const next = themes[(themes.indexOf(theme()) + 1) % themes.length];
    if (next === "system") delete root.dataset.theme; else root.dataset.theme = next;
    keep();
    label();
  };
  label();
  for (const button of $$("[data-theme-button]")) button.addEventListener("click", turn);

  // Times: the server says UTC, the reader's clock stands beside it.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  for (const time of $$("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = local.format(at);
    time.title = text + " " + zone + " · " + time.dateTime;
    if (time.classList.contains("abs")) time.textContent = text;
    if (time.classList.contains("clock")) time.textContent = at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  }

  // Copy buttons.
  const say = (button, text) => {
    const end = button.lastChild;
    const before = end.textContent;
    end.textContent = text;
    setTimeout(() => { end.textContent = before; }, 1500);
  };
  for (const button of $$("[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const from = document.getElementById(button.dataset.copy);
      try { await navigator.clipboard.writeText(from.textContent); say(button, "Copied"); } catch { say(button, "Not allowed"); }
    });
  }

  // Menus close when one clicks elsewhere.
  document.addEventListener("click", (event) => {
    for (const menu of $$(".top details[open], .tools details[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  // Select all rows.
  const all = $("[data-all]");
  if (all) {
    all.hidden = false;
    all.addEventListener("change", () => { for (const pick of $$(".pick")) pick.checked = all.checked; });
  }

  // Live counts. Rows do not move: what is new is announced, and loaded when asked for.
  const list = $("[data-list]");
  const fresh = $("[data-fresh]");
  const state = $("[data-live]");
  const since = state ? $("time", state).dateTime : "";
  let source = null;
  let first = null;
  let shown = "";
  let lost = 0;
  const count = (name, number) => { for (const place of $$("[data-count=" + name + "]")) place.textContent = number || name !== "held" ? grouped(number) : ""; };
  const announce = (text) => {
    if (!fresh || text === shown) return;
    shown = text;
    fresh.textContent = text;
    fresh.hidden = !text;
  };
  const told = (counts) => {
    for (const name of ["events", "unresolved", "held"]) count(name, counts[name]);
    first = first || counts;
    const title = document.title.replace(/^\(\d+\) /, "");
    const urgent = counts.urgent - first.urgent;
    document.title = (urgent > 0 ? "(" + urgent + ") " : "") + title;
    const wait = $("[data-wait]");
    if (wait && counts.events > 0) {
      const link = document.createElement("a");
      link.href = base + "/tickets?q=";
      link.textContent = counts.events === 1 ? "The first event came: open its ticket" : grouped(counts.events) + " events came: open their tickets";
      wait.replaceChildren(link);
      wait.removeAttribute("data-wait");
      return;
    }
    if (list && counts.changed) {
      announce(grouped(counts.changed) + (counts.changed === 1 ? " ticket changed" : " tickets changed") + (counts.new ? ", " + grouped(counts.new) + (counts.new === 1 ? " is new" : " are new") : ""));
    } else if (!list) {
      const more = counts.events - first.events;
      if (more > 0) announce(grouped(more) + (more === 1 ? " new event" : " new events"));
    }
  };
  const live = (on) => {
    if (!state) return;
    const dot = document.createElement("span");
    dot.className = on ? "dot" : "dot off";
    state.replaceChildren(dot, on ? "live" : "not live");
  };
  const stop = () => { if (source) { source.close(); source = null; } };
  const look = () => {
    if (source || document.hidden || !fresh && !$("[data-wait]")) return;
    const asked = new URLSearchParams(list ? { q: list.dataset.q, project: list.dataset.project, since: list.dataset.since } : { since });
    source = new EventSource(base + "/live?" + asked);
    source.addEventListener("open", () => { clearTimeout(lost); live(true); });
    source.addEventListener("counts", (event) => told(JSON.parse(event.data)));
    source.addEventListener("end", () => { stop(); live(false); });
    source.addEventListener("error", () => { clearTimeout(lost); lost = setTimeout(() => live(false), 2000); });
  };
  if (window.EventSource) {
    look();
    document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); else look(); });
    addEventListener("pagehide", stop);
  }

  // Keyboard: single keys act outside fields only, on what is visible.
  const rows = () => $$("table.tk tbody tr");
  const current = () => rows().find((row) => row.getAttribute("aria-current") === "true");
  const move = (step) => {
    const lines = rows();
    if (!lines.length) return;
    const at = lines.indexOf(current());
    const next = lines[Math.max(0, Math.min(lines.length - 1, at + step))];
    for (const row of lines) row.removeAttribute("aria-current");
    next.setAttribute("aria-current", "true");
    next.scrollIntoView({ block: "nearest" });
  };
  let anchor = null;
  const select = (range) => {
    const row = current();
    const pick = row && $(".pick", row);
    if (!pick) return;
    const lines = rows();
    const from = lines.indexOf(anchor);
    if (range && from >= 0) {
      const to = lines.indexOf(row);
      for (const line of lines.slice(Math.min(from, to), Math.max(from, to) + 1)) { const one = $(".pick", line); if (one) one.checked = true; }
    } else {
      pick.checked = !pick.checked;
    }
    anchor = row;
  };
  const act = (word) => { if ($$(".pick:checked").length) $("[data-list] button[value=" + word + "]")?.click(); };
  const go = { o: "/", t: "/tickets", h: "/held", f: "/findings", p: "/projects", d: "/doctor" };
  const lines = [["Search", "/"], ["Down, up", "j k"], ["Open", "↵"], ["Select, select up to here", "x X"],
    ["Assign the chosen to me, resolve, ignore", "a e i"], ["Show what is new", "."], ["Copy for an agent", "c"],
    ["Go to tickets, overview, held, findings, projects, doctor", "g t o h f p d"], ["Theme", "t"], ["Close", "Esc"]];
  const help = () => {
    const open = $("#help");
    if (open) { open.remove(); return; }
    const plate = document.createElement("dialog");
    plate.id = "help";
    plate.className = "plate help";
    plate.setAttribute("aria-label", "Keyboard");
    const keys = document.createElement("ul");
    for (const [name, words] of lines) {
      const item = document.createElement("li");
      item.textContent = name;
      const end = document.createElement("span");
      for (const key of words.split(" ")) { const k = document.createElement("kbd"); k.textContent = key; end.append(k, " "); }
      item.append(end);
      keys.append(item);
    }
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn sm";
    close.textContent = "Close";
    const foot = document.createElement("p");
    foot.append(close);
    close.addEventListener("click", () => plate.close());
    plate.addEventListener("close", () => plate.remove());
    plate.append(keys, foot);
    document.body.append(plate);
    plate.showModal();
  };
  let pending = false;
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.key === "Escape") {
      const plate = $("#help");
      if (plate) { plate.close(); plate.remove(); event.preventDefault(); return; }
      for (const menu of $$(".top details[open], .tools details[open]")) { menu.open = false; $("summary", menu).focus(); }
      if (target instanceof HTMLElement && target.matches("input, textarea, select")) target.blur();
      return;
    }
    if (document.body.dataset.keys === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target instanceof Element && target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
    if ($("#help") && event.key !== "?") return;
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
      case "x": select(false); break;
      case "X": select(true); break;
      case "a": act("mine"); break;
      case "e": act("resolve"); break;
      case "i": act("ignore"); break;
      case ".": if (fresh && !fresh.hidden) fresh.click(); break;
      case "Enter": { const link = current()?.querySelector("a.t"); if (!link || target instanceof HTMLAnchorElement || target instanceof HTMLButtonElement || target instanceof HTMLElement && target.tagName === "SUMMARY") return; location.href = link.href; break; }
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
