// The words of the page's language, and numbers and times as its readers write them.
export const language = document.documentElement.lang;
const words = await (await fetch(`/static/words.${language}.json`)).json();

/** Return the word of a key; `{name}` in it stands for a value. */
export function say(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
const dated = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
const shares = new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1 });
const units = ["second", "minute", "hour"].map(
  (unit) => new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 0 }),
);

/** Return the time of day of a moment in seconds since the epoch; with the date unless it is today. */
export function moment(seconds) {
  const date = new Date(seconds * 1000);
  return (date.toDateString() === new Date().toDateString() ? clock : dated).format(date);
}

/** Return a duration in its largest unit. */
export function duration(seconds) {
  const place = seconds < 60 ? 0 : seconds < 3600 ? 1 : 2;
  return units[place].format(seconds / 60 ** place);
}

/** Return a number with a fixed number of decimals; a dash if it is not known. */
export function decimal(value, digits = 0, unit = "") {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }) + unit;
}

/** Return a share as a percentage with one decimal, never rounded up to 100 %. */
export function percent(share) {
  return shares.format(share < 1 ? Math.min(share, 0.999) : share);
}

export const byId = (id) => document.getElementById(id);
