// The table of vehicles, and the search.
import { byId, moment, percent, say } from "./words.js";

const PAUSE_MS = 250; // between the last key and the search
const REST_MS = 1000; // between two requests for events
const search = byId("search");
const rows = byId("rows");
let known = new Map(); // identity → its change and its row; a row that is kept does not load its image again
let isFirst = true;
let last = 0;
let timer = null;
let latest = 0;

/** Ask for the events, soon; the board sends this whenever there is a new one. */
export function refreshEvents() {
  schedule(Math.max(0, last + REST_MS - Date.now()));
}

function schedule(delay) {
  if (timer === null) timer = setTimeout(load, delay);
}

async function load() {
  timer = null;
  last = Date.now();
  const number = ++latest;
  const part = search.value.trim();
  let answer;
  try {
    const response = await fetch(`/api/events?${new URLSearchParams({ search: part })}`);
    if (!response.ok) return;
    answer = await response.json();
  } catch {
    return; // the page shows that the connection is lost, and asks again afterwards
  }
  if (number === latest) show(answer, part);
}

function show({ events, total }, part) {
  const shown = new Map(events.map((event) => [event.identity, entry(event)]));
  rows.replaceChildren(...[...shown.values()].map(({ line }) => line));
  known = new Map([...(part ? known : []), ...shown]); // a search hides rows, which are not new afterwards
  isFirst = false;
  showCount(events.length, total);
  byId("noRows").hidden = events.length > 0;
  rows.parentElement.hidden = events.length === 0;
  byId("noRowsTitle").textContent = part ? say("noMatch", { search: part }) : say("noVehicles");
  byId("noRowsHint").textContent = part ? say("noMatchHint") : say("noVehiclesHint");
}

/** Show how many vehicles there are. */
export function showCount(shown = 0, total = 0) {
  const text = shown < total ? say("countSome", { shown, total }) : say("countAll", { total });
  if (byId("count").textContent !== text) byId("count").textContent = text;
}

function entry(event) {
  const before = known.get(event.identity);
  if (before?.change !== event.change) return { change: event.change, line: row(event) };
  before.line.className = "";
  return before;
}

function row(event) {
  const line = element("tr");
  line.setAttribute("role", "row"); // the phone layout takes the meaning of a table from its elements
  if (!isFirst && !known.has(event.identity)) line.className = "new";
  const time = element("time", "", moment(event.first_seen));
  time.dateTime = new Date(event.first_seen * 1000).toISOString();
  line.append(
    cell("crop", picture(event)),
    cell("plate", element("span", "text", event.text), ...badges(event)),
    cell("seen", time, ...(event.kind === "end" ? [] : [element("span", "badge now", say("inView"))])),
    cell("where", element("span", "", event.region), ...(event.direction ? [element("span", "way", event.direction)] : [])),
    cell("confidence", percent(event.confidence)),
  );
  return line;
}

function cell(name, ...content) {
  const made = element("td", name);
  made.setAttribute("role", "cell");
  made.append(...content);
  return made;
}

function picture(event) {
  if (!event.has_crop) return element("span", "none", say("noCrop"));
  const image = element("img");
  image.src = `/crops/${encodeURIComponent(event.identity)}?change=${event.change}`;
  image.alt = say("cropOf", { text: event.text });
  image.loading = "lazy";
  return image;
}

function badges(event) {
  const made = [];
  if (event.listed === "allowed") made.push(element("span", "badge good", say("allowed")));
  if (event.listed === "blocked") made.push(element("span", "badge bad", say("blocked")));
  if (!event.accepted) made.push(element("span", "badge", say("rejected")));
  if (event.rescued) made.push(element("span", "badge", say("rescued")));
  return made;
}

function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text) made.textContent = text;
  return made;
}

search.addEventListener("input", () => {
  clearTimeout(timer);
  timer = null;
  schedule(PAUSE_MS);
});
byId("searchForm").addEventListener("submit", (event) => event.preventDefault());
