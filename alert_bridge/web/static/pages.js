// What a page does better with JavaScript; without it every page is complete. No dependency, no build.
"use strict";

const POLL_MS = 5000;
const AGO_MS = 30000;

// Times are UTC on the page; the reader's own clock is added where there is room, and is the tooltip elsewhere.
function localTimes(root) {
  const offset = new Date().getTimezoneOffset();
  if (offset === 0) return;
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    time.title = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }) + " your time";
    if ("local" in time.dataset) {
      time.append(" (" + at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" }) + " your time)");
      delete time.dataset.local;
    }
  }
}

function ago(at) {
  const seconds = Math.floor((Date.now() - at) / 1000);
  const span = Math.abs(seconds);
  const words = span < 60 ? null : span < 3600 ? Math.floor(span / 60) + " min"
    : span < 172800 ? Math.floor(span / 3600) + " h" : Math.floor(span / 86400) + " days";
  if (words === null) return seconds >= 0 ? "just now" : "in " + span + " s";
  return seconds >= 0 ? words + " ago" : "in " + words;
}

function refreshAgo() {
  for (const time of document.querySelectorAll("time[data-ago]")) time.textContent = ago(new Date(time.dateTime));
}

function copyButtons(root) {
  for (const button of root.querySelectorAll("button.copy")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      const parts = (button.dataset.copy || "").split(",").map((id) => document.getElementById(id));
      const text = button.dataset.copyText || parts.filter(Boolean).map((part) => part.textContent.trim()).join("\n\n");
      await navigator.clipboard.writeText(text);
      const label = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = label; }, 1500);
    });
  }
}

function say(text, offersReload) {
  const notice = document.getElementById("notice");
  notice.textContent = text;
  if (!offersReload) return;
  const link = document.createElement("a");
  link.href = location.href;
  link.textContent = "Show it";
  link.addEventListener("click", (event) => { event.preventDefault(); location.reload(); });
  notice.append(". ", link);
}

// The list is exchanged in place, unless somebody is at work in it; elsewhere a line says that there is news.
async function swap(text) {
  const answer = await fetch(location.href, { credentials: "same-origin" });
  if (!answer.ok || answer.redirected) return say(text, true);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const old = document.getElementById("main");
  const fresh = page.getElementById("main");
  if (!fresh || (document.activeElement !== old && old.contains(document.activeElement))) return say(text, true);
  old.replaceWith(document.adoptNode(fresh));
  document.title = page.title;
  localTimes(fresh);
  copyButtons(fresh);
  say(text, false);
  setTimeout(() => say("", false), POLL_MS * 2);
}

async function poll() {
  const main = document.getElementById("main");
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch(main.dataset.live, { credentials: "same-origin", headers: { accept: "application/json" } });
      const news = answer.ok ? await answer.json() : null;
      if (news && news.version !== main.dataset.version) {
        main.dataset.version = news.version;
        if ("swap" in main.dataset) await swap(news.text); else say(news.text, true);
      }
    } catch { /* the bridge restarts, or the network is away: the next round asks again */ }
  }
  setTimeout(poll, POLL_MS);
}

localTimes(document);
copyButtons(document);
setInterval(refreshAgo, AGO_MS);
if (document.getElementById("main").dataset.live) setTimeout(poll, POLL_MS);

// A link's anchor never reaches the server; carry it over the login.
const login = document.getElementById("login");
if (login && location.hash) login.elements.next.value += location.hash;
