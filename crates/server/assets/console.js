// The pages work without this script. With it they follow what happens, keep their place, and can be used from the keyboard.
"use strict";
(() => {
  const main = document.getElementById("main");
  const live = document.getElementById("live");
  let current = null; // the request under way
  let refreshing = false;
  let again = false;
  let cost = 0; // how long the last refresh took

  // --- making the page equal to a newer one, touching only what differs: scroll, focus, selection and open details stay

  const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");

  function attributes(old, fresh) {
    for (const { name, value } of [...fresh.attributes]) {
      if (old.tagName === "DETAILS" && name === "open") continue;
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (fresh.hasAttribute(name) || (old.tagName === "DETAILS" && name === "open")) continue;
      old.removeAttribute(name);
    }
  }

  function morph(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    if (old.hasAttribute("data-keep") && old.id === fresh.id) return;
    attributes(old, fresh);
    const byId = new Map();
    for (const child of old.children) if (child.id) byId.set(child.id, child);
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      let match = child.id ? byId.get(child.id) : at && same(at, child) ? at : null;
      if (match && !same(match, child)) match = null;
      if (match) {
        if (match === at) at = at.nextSibling;
        else old.insertBefore(match, at);
        morph(match, child);
      } else {
        old.insertBefore(child, at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function show(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const content = fresh.getElementById("main");
    if (!content) return;
    const focused = document.activeElement && document.activeElement.closest("[data-row]");
    document.title = fresh.title;
    morph(main, content);
    if (focused && !document.activeElement.closest("[data-row]")) focusRow(document.getElementById(focused.id));
    after();
  }

  async function load(address, options = {}) {
    if (current) current.abort();
    const request = (current = new AbortController());
    const begun = performance.now();
    try {
      const answer = await fetch(address, { signal: request.signal, headers: options.headers || {}, credentials: "same-origin" });
      if (answer.status === 304) return answer;
      const html = await answer.text();
      if (request.signal.aborted) return null;
      show(html);
      cost = performance.now() - begun;
      return answer;
    } catch (error) {
      if (error.name !== "AbortError") say("Not connected", false);
      return null;
    } finally {
      if (current === request) current = null;
    }
  }

  // The page again as it is now. Large pages are asked for less often.
  async function refresh() {
    if (refreshing) {
      again = true;
      return;
    }
    refreshing = true;
    do {
      again = false;
      await load(location.href);
      await new Promise((wait) => setTimeout(wait, Math.min(4 * cost, 3000)));
    } while (again);
    refreshing = false;
  }

  function say(text, on) {
    if (live.textContent !== text) live.textContent = text;
    live.classList.toggle("on", on);
  }

  // --- following a run, while somebody can see it

  let events = null;
  let wanted = null;

  function follow() {
    const address = document.hidden ? null : main.getAttribute("data-events");
    if (address === wanted) return;
    if (events) events.close();
    wanted = address;
    events = null;
    if (!address) {
      if (!document.hidden && !main.hasAttribute("data-poll")) say("", false);
      return;
    }
    events = new EventSource(address);
    events.onopen = () => say("Live", true);
    events.onerror = () => say("Reconnecting", false);
    events.addEventListener("changed", refresh);
    events.addEventListener("end", () => {
      events.close();
      refresh();
    });
  }

  // --- following a log

  const MOST_LINES = 5000;
  let tail = null;
  let pane = null;

  const seen = new WeakSet();

  function followLog() {
    for (const log of document.querySelectorAll(".log")) {
      if (!seen.has(log)) log.scrollTop = log.scrollHeight;
      seen.add(log);
    }
    const found = document.hidden ? null : document.querySelector("[data-log]");
    if (found === pane) return;
    if (tail) tail.close();
    tail = null;
    pane = found;
    if (!found) return;
    let next = Number(found.dataset.next);
    tail = new EventSource(found.dataset.log + (found.dataset.log.includes("?") ? "&" : "?") + "from=" + next);
    tail.addEventListener("lines", (event) => {
      const [offsets, lines] = JSON.parse(event.data);
      const unseen = lines.filter((_, at) => offsets[at] >= next);
      if (!unseen.length) return;
      next = offsets[offsets.length - 1] + 1;
      found.dataset.next = String(next);
      const atEnd = found.scrollHeight - found.scrollTop - found.clientHeight < 24;
      found.append(document.createTextNode(unseen.join("\n") + "\n"));
      while (found.childNodes.length > MOST_LINES) found.firstChild.remove();
      if (atEnd) found.scrollTop = found.scrollHeight;
    });
    tail.addEventListener("end", () => tail.close());
  }

  // --- the list of runs: asked for again every two seconds, answered with nothing if nothing has changed

  let etag = null;

  async function poll() {
    if (document.hidden || !main.hasAttribute("data-poll") || current) return;
    const answer = await load(location.href, { headers: etag ? { "If-None-Match": etag } : {} });
    if (answer) {
      etag = answer.headers.get("ETag");
      say("Live", true);
    }
  }

  // --- times that pass

  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const two = (number) => String(number).padStart(2, "0");

  function ago(seconds) {
    const [size, unit] = UNITS.find(([size]) => seconds >= size) || UNITS[3];
    return `${Math.max(0, Math.floor(seconds / size))} ${unit} ago`;
  }

  function length(millis) {
    const seconds = Math.floor(millis / 1000);
    if (seconds < 1) return `${Math.max(0, Math.floor(millis))} ms`;
    if (seconds < 60) return `${(Math.floor(millis / 100) / 10).toFixed(1)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${two(Math.floor(seconds / 60) % 60)} m`;
    return `${Math.floor(seconds / 86400)} d ${two(Math.floor(seconds / 3600) % 24)} h`;
  }

  function tick() {
    if (document.hidden) return;
    const now = Date.now();
    const set = (element, text) => {
      if (element.textContent !== text) element.textContent = text;
    };
    for (const element of document.querySelectorAll("[data-ago]")) {
      const at = Date.parse(element.parentElement.getAttribute("datetime"));
      set(element, ago((now - at) / 1000));
    }
    for (const element of document.querySelectorAll("[data-since]")) set(element, length(now - Number(element.dataset.since)));
  }

  // --- links and forms that change a part of the page only

  async function go(address, focusPanel) {
    history.pushState(null, "", address);
    await load(location.href);
    const panel = document.getElementById("action");
    if (panel && focusPanel) {
      panel.scrollTop = 0;
      if (getComputedStyle(panel).position !== "sticky") panel.scrollIntoView({ block: "start" });
    }
  }

  const plain = (event) => event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;

  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      await navigator.clipboard.writeText(copy.dataset.copy);
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy"), 1500);
      return;
    }
    if (!plain(event) || event.defaultPrevented) return;
    let link = event.target.closest("a");
    const row = event.target.closest("tr[data-row]");
    // A click anywhere in a row is one on its link, unless text was being selected.
    if (!link && row && row.closest(".grid") && !String(getSelection())) link = row.querySelector("a.row") || row.querySelector("a.tw");
    if (!link || !link.hasAttribute("data-swap")) return;
    event.preventDefault();
    if (row) focusRow(row);
    go(link.getAttribute("href"), !link.classList.contains("tw"));
  });

  document.addEventListener("submit", (event) => {
    if (!event.target.hasAttribute("data-swap")) return;
    event.preventDefault();
    go("?" + new URLSearchParams(new FormData(event.target)), false);
  });

  // --- keyboard: up and down in a list, into and out of the tree, to the filter

  const rows = () => [...document.querySelectorAll("tr[data-row]")];
  const target = (row) => row && (row.querySelector("a.row") || row.querySelector("a"));

  function focusRow(row) {
    const link = target(row);
    if (link) link.focus({ preventScroll: false });
  }

  function parentOf(row) {
    const level = Number(row.getAttribute("aria-level"));
    let above = row.previousElementSibling;
    while (above && Number(above.getAttribute("aria-level")) >= level) above = above.previousElementSibling;
    return above;
  }

  function move(step) {
    const all = rows();
    if (!all.length) return;
    const here = document.activeElement.closest("tr[data-row]") || document.querySelector("tr.sel");
    const at = all.indexOf(here);
    focusRow(all[Math.min(Math.max(at + step, 0), all.length - 1)]);
  }

  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "Escape") {
      for (const open of document.querySelectorAll("details.pop[open]")) open.open = false;
      if (typing) typing.blur();
      return;
    }
    if (typing) return;
    const row = event.target.closest("tr[data-row]");
    const arrow = row !== null; // elsewhere the arrows scroll
    if (event.key === "/") {
      const find = document.getElementById("find");
      if (!find) return;
      find.focus();
      find.select();
    } else if (event.key === "j" || (arrow && event.key === "ArrowDown")) move(1);
    else if (event.key === "k" || (arrow && event.key === "ArrowUp")) move(-1);
    else if (arrow && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      const opens = event.key === "ArrowRight";
      const toggle = row.querySelector("a.tw");
      if (toggle && (row.getAttribute("aria-expanded") === "true") !== opens) toggle.click();
      else if (!opens) focusRow(parentOf(row));
      else if (toggle) move(1);
      else return;
    } else return;
    event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details.pop[open]")) if (!open.contains(event.target)) open.open = false;
  });

  function after() {
    tick();
    follow();
    followLog();
  }

  document.addEventListener("visibilitychange", () => {
    after();
    poll();
  });
  window.addEventListener("popstate", () => load(location.href));
  setInterval(tick, 1000);
  setInterval(poll, 2000);
  after();
  if (main.hasAttribute("data-poll")) say("Live", true);
})();
