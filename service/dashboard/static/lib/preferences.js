// What this browser's user prefers; kept here, unknown to the server.
const STALE = "herenow.stale_hours";
const DEFAULT_HOURS = 24;

/** Hours after which the state behind a recommendation counts as out of date. */
export const staleHours = () => Number(localStorage.getItem(STALE)) || DEFAULT_HOURS;

export const setStaleHours = (hours) => localStorage.setItem(STALE, String(hours));
