/* What the console's pages do in the browser beside htmx: times in the reader's zone, the feed's length and state,
   keys, and forms that ask the admin API for a change. */
"use strict";

(() => {
  const MOST_ROWS = 200;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const two = (number, width = 2) => String(number).padStart(width, "0");

  function localTimes(root) {
    for (const element of root.querySelectorAll("time[data-form]:not([title])")) {
      const at = new Date(element.dateTime);
      const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
      const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
      element.textContent = element.dataset.form === "clock" ? clock : `${day} ${clock}`;
      element.title = `${day} ${clock}.${two(at.getMilliseconds(), 3)} ${zone} (${element.dateTime})`;
    }
  }

  /* -- the live feed ------------------------------------------------------------------------------------------- */

  let paused = false;
  let missed = 0;

  function sayState(text, kind) {
    const state = document.getElementById("feed-state");
    if (state) {
      state.textContent = text;
      state.dataset.kind = kind;
    }
  }

  function trim() {
    const rows = document.getElementById("feed-rows");
    while (rows && rows.children.length > MOST_ROWS) rows.lastElementChild.remove();
    const empty = document.getElementById("feed-empty");
    if (empty && rows && rows.children.length) empty.hidden = true;
  }

  function pause(button) {
    if (paused) {
      location.reload();
      return;
    }
    paused = true;
    button.textContent = "Go on";
    button.setAttribute("aria-pressed", "true");
    sayState("paused", "paused");
  }

  document.addEventListener("htmx:sse:after:connection", () => { if (!paused) sayState("live", "live"); });
  document.addEventListener("htmx:sse:error", () => sayState("away, trying again", "away"));
  document.addEventListener("htmx:response:error", () => sayState("refused; reload the page", "away"));
  document.addEventListener("htmx:sse:close", () => sayState("ended; reload the page", "away"));
  document.addEventListener("htmx:sse:before:message", (event) => {
    if (!paused) return;
    event.preventDefault();
    missed += 1;
    sayState(`paused, more has come (${missed})`, "paused");
  });
  document.addEventListener("htmx:sse:after:message", trim);
  document.addEventListener("htmx:config:request", (event) => {
    if (document.hidden && event.target.id === "numbers") event.preventDefault();
  });
  for (const shown of ["htmx:after:swap", "toolgate:shown"]) document.addEventListener(shown, () => localTimes(document));

  /* -- changes: a form's members as JSON, or as a query, to the admin API ------------------------------------------ */

  /* The key of the session, which changes show beside its cookie; kept for this origin, as its cookie is not. */
  const KEY = "toolgate-session-key";
  if (location.hash.startsWith("#key=")) {
    localStorage.setItem(KEY, location.hash.slice("#key=".length));
    history.replaceState(null, "", location.pathname + location.search);
  }

  async function change(form) {
    const told = form.querySelector("output");
    const members = {};
    const keys = [];
    for (const [name, value] of new FormData(form)) {
      if (name === "key") keys.push(value);
      else if (name === "seconds") members[name] = Number(value);
      else if (name === "cut") members[name] = true;
      else members[name] = value;
    }
    const method = form.dataset.method;
    const options = { method, headers: { "X-Toolgate-Admin": localStorage.getItem(KEY) || "1" }, credentials: "same-origin" };
    let address = form.dataset.api;
    if (method === "DELETE") {
      const query = new URLSearchParams(members);
      for (const key of keys) query.append("key", key);
      address += `?${query}`;
    } else {
      options.headers["Content-Type"] = "application/json";
      options.body = JSON.stringify({ ...members, key: keys });
    }
    try {
      const answer = await fetch(address, options);
      if (answer.ok) {
        location.reload();
        return;
      }
      const problem = await answer.json();
      told.textContent = problem.advice ? `${problem.detail}: ${problem.advice}` : problem.detail;
    } catch (error) {
      told.textContent = `the gateway did not answer: ${error.message}`;
    }
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.dataset.api) return;
    event.preventDefault();
    change(event.target);
  });

  document.addEventListener("click", (event) => {
    if (event.target.id === "feed-pause") pause(event.target);
    if (event.target.dataset.open) {
      const open = event.target.dataset.open === "all";
      for (const details of document.querySelectorAll(".steps details")) details.open = open;
    }
  });

  /* -- keys: j and k go through the steps or rows, / to the search ------------------------------------------------ */

  function move(by) {
    const stops = [...document.querySelectorAll("[data-stop]")];
    if (!stops.length) return;
    const here = stops.findIndex((stop) => stop === document.activeElement || stop.contains(document.activeElement));
    const next = stops[Math.min(stops.length - 1, Math.max(0, here + by))];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "/") {
      event.preventDefault();
      const field = document.getElementById("q");
      if (field) field.focus();
      else location.href = "/search";
    } else if (event.key === "Enter" && event.target.dataset.stop) {
      const link = event.target.querySelector("a[data-main]");
      if (link) link.click();
    }
  });

  localTimes(document);
  if (document.getElementById("q") && location.pathname === "/search" && !location.search) {
    document.getElementById("q").focus();
  }
})();
