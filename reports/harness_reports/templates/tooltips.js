// One tooltip for the whole page; it follows the pointer's element, or the focus.

const tips = new WeakMap();
const tip = document.getElementById("tip");
let explained = null;

// Let an element be explained by what `content` returns, an array of elements.
function explain(target, content) {
  tips.set(target, content);
  target.dataset.tip = "";
}

function show_tip(event) {
  const target = event.target.closest?.("[data-tip]");
  if (target === explained) return;
  hide_tip();
  if (!target) return;
  const content = tips.get(target)?.().filter(Boolean) ?? [];
  if (!content.length) return;
  explained = target;
  tip.replaceChildren(...content);
  (target.closest("dialog") ?? document.body).append(tip);
  target.setAttribute("aria-describedby", "tip");
  tip.showPopover();
  const at = target.getBoundingClientRect();
  const left = Math.min(Math.max(at.left, 8), innerWidth - tip.offsetWidth - 8);
  const below = at.bottom + tip.offsetHeight + 6 < innerHeight;
  tip.style.left = `${left}px`;
  tip.style.top = `${below ? at.bottom + 4 : Math.max(at.top - tip.offsetHeight - 4, 8)}px`;
}

function hide_tip() {
  explained?.removeAttribute("aria-describedby");
  explained = null;
  if (tip.matches(":popover-open")) tip.hidePopover();
}

document.addEventListener("pointerover", show_tip);
document.addEventListener("focusin", show_tip);
document.addEventListener("focusout", hide_tip);
document.addEventListener("scroll", hide_tip, true);
document.addEventListener("keydown", (event) => event.key === "Escape" && hide_tip());
