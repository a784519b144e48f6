// Body of a function that runs in a page: where the focus is, whether one sees that, and what could have it.
const kinds = "a[href], button:not([disabled]), input:not([type=hidden]):not([disabled]), select, textarea, summary, [tabindex]:not([tabindex='-1'])";
const reachable = [...document.querySelectorAll(kinds)].filter((element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && element.checkVisibility({ visibilityProperty: true });
});
const named = (element) => element.tagName.toLowerCase() + " " + JSON.stringify(
  (element.getAttribute("aria-label") || element.textContent || element.getAttribute("name") || "").trim().slice(0, 50));
const focused = document.activeElement;
const ringed = (element) => {
  const style = getComputedStyle(element);
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
};
let ring = false;
for (let element = focused; element && element !== document.body && !ring; element = element.parentElement) ring = ringed(element);
// A link that wraps has several boxes.
const box = focused.getClientRects()[0];
const [x, y] = [box.left + Math.min(box.width, 40) / 2, box.top + Math.min(box.height, 20) / 2];
const top = document.elementFromPoint(x, y);
return {
  at: reachable.indexOf(focused),
  of: reachable.length,
  name: named(focused),
  missing: reachable.map(named),
  ring,
  seen: top !== null && (focused.contains(top) || top.contains(focused)) ,
  body: focused === document.body,
};
