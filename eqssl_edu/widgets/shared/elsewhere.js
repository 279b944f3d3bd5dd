// Beside each widget: shows the page that stands there when the widget KEY does not come, and hides what came instead.
{
  const box = document.getElementById("beside-KEY");
  const began = Date.now();
  const look = () => {
    if (!box.isConnected) return; // the notebook was scrolled on
    const before = box.closest(".jp-OutputArea-child, .output_area")?.previousElementSibling;
    const failed = before?.querySelector(".jupyter-widgets-error-widget") || Date.now() - began > 3000;
    const missing = !document.querySelector("[data-key='KEY']") && failed;
    box.hidden = !missing;
    if (before) before.style.display = missing ? "none" : "";
    const frame = box.querySelector("iframe");
    const height = frame?.contentDocument?.body?.scrollHeight;
    if (missing && height) frame.style.cssText = `width: 100%; border: 0; height: ${height}px`;
  };
  const timer = setInterval(look, 200);
  setTimeout(() => clearInterval(timer), 60000);
}
