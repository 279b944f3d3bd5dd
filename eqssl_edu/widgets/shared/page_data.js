/** What Python has packed into this page: JSON, and bytes wherever it says {"$bytes": [start, size]}. */
async function unpackPage() {
  const holder = document.getElementById("packed");
  const packed = Uint8Array.from(atob(holder.textContent), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(unpacked).arrayBuffer();
  const split = Number(holder.dataset.json);
  return JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 0, split)), (_, value) =>
    value?.$bytes ? new Uint8Array(bytes, split + value.$bytes[0], value.$bytes[1]) : value,
  );
}
