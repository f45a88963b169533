// Cells as spreadsheets write them to the clipboard.

/** A number as spreadsheets write it ("1,234.5"); the text itself where it is none, for the API to refuse by name. */
export function toNumber(text) {
  if (typeof text !== "string") return text;
  const plain = text.trim().replace(/,(?=\d{3}\b)/g, "").replace("−", "-");
  return plain !== "" && Number.isFinite(Number(plain)) ? Number(plain) : text;
}
