// Connects to the board, and passes what happens to the parts of the page.
import { showCount, refreshEvents } from "./events.js";
import { showHealth, showLost } from "./health.js";
import { showReadings } from "./live.js";
import "./regions.js";
import { byId } from "./words.js";

const SILENCE_MS = 10_000; // the board sends its health every 2 seconds
let heard = Date.now();
let source;

function connect() {
  source?.close();
  source = new EventSource("/api/stream");
  on("health", showHealth);
  on("live", showReadings);
  on("changed", refreshEvents);
  source.onerror = () => {
    // A browser tries again by itself unless the answer was a refusal.
    if (source.readyState === EventSource.CLOSED) refused();
    else showLost("lost", heard);
  };
}

function on(kind, take) {
  source.addEventListener(kind, (event) => {
    heard = Date.now();
    take(JSON.parse(event.data));
  });
}

async function refused() {
  let status = 0;
  try {
    status = (await fetch("/api/health", { cache: "no-store" })).status;
  } catch {
    // There is no connection.
  }
  showLost(status === 401 ? "needsToken" : status === 200 ? "tooMany" : "lost", heard);
  heard = Date.now() - SILENCE_MS / 2; // the next attempt is in 5 seconds
}

setInterval(() => {
  if (Date.now() - heard > SILENCE_MS) {
    showLost("lost", heard);
    heard = Date.now() - SILENCE_MS / 2;
    connect();
  }
}, 1000);

const theme = byId("theme");
theme.value = document.documentElement.dataset.theme ?? "auto";
theme.addEventListener("change", () => {
  if (theme.value === "auto") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem("theme");
  } else {
    document.documentElement.dataset.theme = theme.value;
    localStorage.setItem("theme", theme.value);
  }
});

showCount();
connect();
