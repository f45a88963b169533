// A table as a CSV file that a spreadsheet opens without taking text for a formula.
const RISKY = /^[=+\-@\t\r]/;

function field(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = RISKY.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Rows as a blob of CSV in UTF-8. */
export const csv = (rows) => new Blob([`${rows.map((row) => row.map(field).join(",")).join("\r\n")}\r\n`], { type: "text/csv;charset=utf-8" });
