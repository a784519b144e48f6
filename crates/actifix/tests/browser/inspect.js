// Body of a function that runs in a page: what it says about itself. Nothing is changed.
const width = document.documentElement.clientWidth;
const shown = (element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && element.checkVisibility({ visibilityProperty: true });
};
const named = (element) => {
  const own = element.id ? "#" + element.id : [...element.classList].map((name) => "." + name).join("");
  return element.tagName.toLowerCase() + own + " " + JSON.stringify((element.textContent || "").trim().slice(0, 60));
};
// What is cut or scrolled by something around it does not widen the page.
const held = (element) => {
  for (let around = element.parentElement; around; around = around.parentElement) {
    if (getComputedStyle(around).overflowX !== "visible") return true;
  }
  return false;
};
const overflow = document.documentElement.scrollWidth - width;
const beyond = overflow > 0
  ? [...document.body.querySelectorAll("*")].filter((element) => {
    const box = element.getBoundingClientRect();
    // Words may stand out of a box that itself fits.
    const end = getComputedStyle(element).overflowX === "visible" ? box.left + element.scrollWidth : box.right;
    return shown(element) && Math.max(box.right, end) > width + 1 && !held(element);
  })
  : [];
const places = [...document.querySelectorAll("[href], [src], [action], [formaction], [poster], [srcset]")];
const elsewhere = places.filter((element) => {
  return ["href", "src", "action", "formaction", "poster", "srcset"].some((name) => {
    const value = element.getAttribute(name);
    if (value === null) return false;
    try { return new URL(value, location.href).origin !== location.origin; } catch { return true; }
  });
});
return {
  title: document.title,
  language: document.documentElement.lang,
  heads: document.querySelectorAll("h1").length,
  text: document.body.innerText,
  bytes: document.documentElement.outerHTML.length,
  overflow,
  beyond: beyond.slice(-6).map(named),
  elsewhere: elsewhere.slice(0, 6).map(named),
  broken: window.brokenPolicies || [],
  ran: [...Object.keys(window).filter((name) => name.startsWith("ran")), ...(document.body.dataset.ran ? ["body"] : [])],
};
