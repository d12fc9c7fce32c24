// Keeps what is on the screen fresh. Every page is whole without it.
"use strict";

// The parts of a page that change, and the line that says so.
const parts = () => document.querySelectorAll("[data-fresh][id]");
const line = document.getElementById("fresh");
const LEAST_MS = 2000;
const MOST_MS = 15000;
let read = Date.now();
let wanted = false;
let reading = false;

const say = (text) => {
  if (line && line.textContent !== text) {
    line.textContent = text;
    line.hidden = false;
  }
};

// Whether somebody is about to use this part.
const isUsed = (part) => {
  const chosen = document.getSelection();
  const hasChosen = chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode);
  const focused = document.activeElement;
  return hasChosen || (focused && focused !== document.body && part.contains(focused) && focused.matches("input, select, button, a"));
};

const refresh = async () => {
  if (reading || document.hidden || parts().length === 0) {
    return;
  }
  reading = true;
  wanted = false;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) {
      throw new Error(String(answer.status));
    }
    const newer = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of parts()) {
      const now = newer.getElementById(part.id);
      if (now && now.innerHTML !== part.innerHTML && !isUsed(part)) {
        part.replaceChildren(...now.childNodes);
      }
    }
    const footer = newer.querySelector("footer time");
    const old = document.querySelector("footer time");
    if (footer && old) {
      old.replaceWith(footer);
    }
    say("Kept fresh.");
  } catch {
    say("The server does not answer; what is shown may be old.");
  } finally {
    read = Date.now();
    reading = false;
  }
};

setInterval(() => {
  const age = Date.now() - read;
  if ((wanted && age >= LEAST_MS) || age >= MOST_MS) {
    refresh();
  }
}, 500);
document.addEventListener("visibilitychange", refresh);

// A tab that is not looked at keeps no connection.
let changes = null;
const listen = () => {
  if (document.hidden) {
    changes?.close();
    changes = null;
  } else if (!changes && parts().length > 0) {
    changes = new EventSource("/live");
    changes.addEventListener("changed", () => {
      wanted = true;
    });
  }
};
document.addEventListener("visibilitychange", listen);
listen();

// What a running job prints. The server has made everything in it harmless but colours.
const output = document.querySelector("pre[data-live]");
if (output) {
  const MOST_CHARS = 2 * 1024 * 1024;
  let place = output.dataset.live;
  let lines = null;
  const follow = () => {
    lines = new EventSource(place);
    lines.addEventListener("output", (message) => {
      // Where to go on after the tab was hidden.
      place = place.replace(/after=.*/, `after=${message.lastEventId}`);
      const isAtEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
      output.insertAdjacentHTML("beforeend", JSON.parse(message.data));
      while (output.textContent.length > MOST_CHARS && output.firstChild) {
        output.firstChild.remove();
      }
      if (isAtEnd) {
        output.scrollTop = output.scrollHeight;
      }
      document.querySelector("#output .none")?.remove();
    });
    lines.addEventListener("end", () => {
      lines.close();
      place = null;
      refresh();
    });
  };
  const watch = () => {
    if (document.hidden) {
      lines?.close();
      lines = null;
    } else if (!lines && place) {
      follow();
    }
  };
  document.addEventListener("visibilitychange", watch);
  watch();
  output.scrollTop = output.scrollHeight;
}
