// Frames are as high as their pages say, and have the theme of the page around them.
{
  const frames = () => [...document.querySelectorAll("iframe")];
  const tell = (frame) =>
    frame.contentWindow?.postMessage({ eqsslTheme: document.documentElement.dataset.theme }, "*");
  addEventListener("message", ({ source, data }) => {
    const frame = frames().find(({ contentWindow }) => contentWindow === source);
    if (!frame || !data.eqsslHeight) return;
    frame.style.height = `${data.eqsslHeight + 4}px`;
    tell(frame); // it has just come
  });
  new MutationObserver(() => frames().forEach(tell)).observe(document.documentElement, {
    attributeFilter: ["data-theme"],
  });
  // The theme's arrow that unfolds a part of the menu has no name.
  addEventListener("DOMContentLoaded", () => {
    for (const arrow of document.querySelectorAll("summary:has(.toctree-toggle)"))
      arrow.ariaLabel = `Below ${arrow.closest("li").querySelector("a").textContent.trim()}`;
  });
}
