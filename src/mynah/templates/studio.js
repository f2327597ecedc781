"use strict";
// What Gradio does not do: copy a post, and keep one's place. Everything else is its own, or a plain link.
const selected = () => [...document.querySelectorAll('[role="tab"][aria-selected="true"]')]
  .find((tab) => !tab.closest('[aria-hidden="true"]'));
const put = async (text) => {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const at = document.activeElement, field = document.createElement("textarea"); // plain HTTP has no clipboard
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  at.focus();
};
const copy = (button) => put(button.dataset.copy).then(() => {
  const before = button.innerHTML;
  button.textContent = "Copied";
  setTimeout(() => { button.innerHTML = before; }, 1500);
});

// A button that goes away once it is pressed would take the focus along, to nowhere: who goes next?
const first = (...names) => () =>
  names.map((name) => document.querySelector(name)).find((each) => each?.checkVisibility());
const heirs = {
  "#next, [data-bot]": selected,
  "#start, #stop, #go-on": first("#stop", "#go-on", "#start"),
  "[data-answer]": first("[data-answer]", "#play"),
};
let pressed = null, heir = null;
const opened = new Set(); // lists that somebody unfolded; written anew, they would fold up
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button, summary");
  if (!button) return;
  if (button.matches("[data-copy]")) copy(button);
  const fold = button.matches("summary") && button.textContent;
  if (fold) opened[button.parentElement.open ? "delete" : "add"](fold);
  const found = Object.keys(heirs).find((each) => button.matches(each));
  [pressed, heir] = found ? [button, heirs[found]] : [null, null];
}, true);
const keep = () => {
  document.querySelectorAll("details:not([open]) > summary").forEach((summary) => {
    if (opened.has(summary.textContent)) summary.parentElement.open = true;
  });
  if (!pressed || pressed.checkVisibility()) return;
  const at = document.activeElement, next = heir();
  if (at !== pressed && at !== document.body) pressed = null; // somebody is elsewhere already
  else if (next) { pressed = null; next.focus(); }
};
// A picture is shown above the posts: far from the button of the tenth.
document.addEventListener("load", ({ target }) => {
  if (target.matches?.("#preview img")) target.scrollIntoView({ block: "nearest" });
}, true);

// Screen readers hear what changes without a jump of the focus.
const spoken = { counts: "polite", progress: "off", news: "polite", posts: "polite", preview: "polite", quiz: "polite" };
const listen = () => {
  for (const [id, how] of Object.entries(spoken)) {
    document.getElementById(id)?.setAttribute("aria-live", how);
  }
  // Of one name, so that arrows choose among them.
  document.querySelectorAll("#effort input:not([name=effort])").forEach((choice) => { choice.name = "effort"; });
  // Named by what is written on it, so that it can be called by voice.
  document.querySelectorAll(".upload-container[aria-label]").forEach((button) => {
    button.removeAttribute("aria-label");
  });
  keep();
};
new MutationObserver(listen).observe(document.documentElement, {
  childList: true, subtree: true, attributes: true, attributeFilter: ["open", "style", "class", "aria-selected"],
});
