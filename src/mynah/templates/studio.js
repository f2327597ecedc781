"use strict";
// Copies a post. Everything else on the page is Gradio's, or a plain link.
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  navigator.clipboard.writeText(button.dataset.copy).then(() => {
    const before = button.innerHTML;
    button.textContent = "Copied";
    setTimeout(() => { button.innerHTML = before; }, 1500);
  });
});
// Screen readers hear what changes without a jump of the focus.
const spoken = { counts: "polite", progress: "off", news: "polite", posts: "polite" };
const listen = () => {
  for (const [id, how] of Object.entries(spoken)) {
    document.getElementById(id)?.setAttribute("aria-live", how);
  }
  // Named by what is written on it, so that it can be called by voice.
  document.querySelectorAll(".upload-container[aria-label]").forEach((button) => {
    button.removeAttribute("aria-label");
  });
};
new MutationObserver(listen).observe(document.documentElement, { childList: true, subtree: true });
