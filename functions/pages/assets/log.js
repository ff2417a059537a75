"use strict";
// The log of a job: its keys, and new rows while it runs. The page works without it.

(() => {
  const { byId, inUse, isKey, lost, reached, say } = pullyard;
  const log = byId("log");
  const make = (name, facts) => Object.assign(document.createElement(name), facts);

  // Keys act on the row with the focus, otherwise on the first one in view.
  const stop = (row) => row.querySelector("a.at") ?? row;
  const focused = () => document.activeElement.closest("#log :is(.row, .phase, .fold > summary)");
  const go = (selector, step) => {
    const here = focused();
    const follows = (row) => here
      ? here.compareDocumentPosition(row) & (step > 0 ? Node.DOCUMENT_POSITION_FOLLOWING : Node.DOCUMENT_POSITION_PRECEDING)
      : step * (row.getBoundingClientRect().top - 60) > 0;
    const rows = [...log.querySelectorAll(selector)].filter((row) => row.checkVisibility());
    const to = step > 0 ? rows.find(follows) : rows.findLast(follows);
    if (!to) return;
    stop(to).focus({ preventScroll: true });
    to.scrollIntoView({ block: "center" });
  };
  const openAll = () => {
    const all = [...log.querySelectorAll("details")];
    const open = all.some((one) => !one.open);
    for (const one of all) one.open = open;
  };
  const toEnd = () => scrollTo(0, document.documentElement.scrollHeight);
  const copyLink = async () => {
    const id = focused()?.id;
    if (!id?.startsWith("e")) return;
    const link = new URL(`${log.dataset.address}/log?at=${id.slice(1)}#${id}`, location.href);
    try {
      await navigator.clipboard.writeText(link.href);
      byId("announce").textContent = "Link copied";
    } catch {
      byId("announce").textContent = "This browser does not allow to copy";
    }
  };
  const actions = {
    f: toEnd,
    j: () => go(".row, .fold > summary", 1),
    k: () => go(".row, .fold > summary", -1),
    e: () => go(".row:has(> .ic.bad)", 1),
    E: () => go(".row:has(> .ic.bad)", -1),
    "[": () => go(".phase", -1),
    "]": () => go(".phase", 1),
    x: openAll,
    y: copyLink,
  };
  document.addEventListener("keydown", (event) => {
    if (!isKey(event)) return;
    const details = event.key === "Enter" && event.target.matches("#log .at") && focused()?.querySelector("details");
    const act = details ? () => { details.open = !details.open; } : Object.hasOwn(actions, event.key) && actions[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  if (log.dataset.next === "0") return;

  const jump = byId("jump");
  let cursor = log.dataset.cursor;
  let wait = Number(log.dataset.next);
  let timer = 0;
  let asking = false;
  let request = new AbortController();
  let failed = 0;
  let unread = 0;
  let word = "";
  const last = {};
  const MAX_ROWS = 2000;

  const marks = () => log.querySelectorAll("[id^=m] > .meta");
  const atBottom = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 48;

  // Replaces an element that is in use later. Stores its new content, because no later answer may have it.
  const left = new Map();
  const replace = (id, fresh) => {
    const here = byId(id);
    const there = fresh.getElementById(id) || left.get(id);
    left.delete(id);
    if (!here || !there || last[id] === there.innerHTML || here.innerHTML === there.innerHTML) return;
    // Answers contain the usage only when it changes, so replace it at once.
    if (id !== "used" && inUse(here)) {
      left.set(id, there);
      return;
    }
    last[id] = there.innerHTML;
    here.replaceChildren(...there.childNodes);
  };

  // Answers contain the phases only when these change, so the time of the phase at work goes on here.
  const tick = () => {
    const clock = byId("tick");
    if (!clock) return;
    clock.began ??= performance.now() - 1000 * clock.dataset.secs;
    const secs = Math.floor((performance.now() - clock.began) / 1000);
    const [hours, minutes] = [Math.floor(secs / 3600), Math.floor(secs / 60) % 60];
    const two = (number) => String(number).padStart(2, "0");
    clock.textContent = hours ? `${hours} h ${two(minutes)}` : `${minutes}:${two(secs % 60)}`;
  };

  // The request grows when its reviews are loaded. It stays folded or open.
  const updateRequest = (fresh) => {
    const [here, there] = [document, fresh].map((page) => page.querySelector("#request > details"));
    if (here && there) there.open = here.open;
    replace("request", fresh);
  };

  // The form for messages depends on the job's state. Retain a draft, and a form with the focus.
  const speak = (fresh) => {
    const [here, there] = [byId("speak"), fresh.getElementById("speak")];
    if (!here || !there || here.dataset.kind === there.dataset.kind || inUse(here)) return;
    const [old, text] = [here, there].map((one) => one.querySelector("textarea"));
    if (old?.value && !text) return;
    if (old && text) {
      text.value = old.value;
      const [was, fold] = [old, text].map((one) => one.closest("details"));
      if (fold) fold.open = Boolean(old.value || was?.open);
    }
    here.dataset.kind = there.dataset.kind;
    here.replaceChildren(...there.childNodes);
  };

  // Puts the result of a tool call under its call, if the page shows the call.
  const adopt = (row) => {
    const answer = row.querySelector("details.answer > pre");
    if (!answer || !row.dataset.call) return false;
    const begun = [...log.querySelectorAll(".row[data-call]")].findLast((other) => other.dataset.call === row.dataset.call);
    const step = begun?.querySelector(".step");
    if (!step) return false;
    if (step.matches("details")) {
      const block = step.querySelector("pre");
      block.textContent += `\n${answer.textContent}`;
    } else {
      const details = make("details", { className: "step" });
      const summary = document.createElement("summary");
      summary.append(...step.childNodes);
      details.append(summary, answer);
      step.replaceWith(details);
    }
    return true;
  };

  // Adds a row at the end. As on a new page, output continues its block, and the third of neighbouring calls of one kind
  // folds them. Rows in use stay.
  const kindOf = (item) => (item?.matches(".fold") ? item.querySelector(".row") : item)?.dataset.kind;
  const before = (item) => item.previousElementSibling ?? item.parentNode.previousElementSibling?.lastElementChild;
  const add = (row, segment) => {
    segment.append(row);
    const { kind } = row.dataset;
    const one = before(row);
    const [begun, more] = [one, row].map((item) => item?.querySelector(":scope > div:not(:has(> .second)) > .out > pre"));
    if (more && begun?.textContent.length < 9999) {
      begun.append(`\n${more.textContent}`);
      return row.remove();
    }
    if (!kind || kindOf(one) !== kind) return;
    let fold = one;
    if (!one.matches(".fold")) {
      const two = before(one);
      if (kindOf(two) !== kind || two.matches(".fold")) return;
      if ([one, two].some((item) => inUse(item) || item.querySelector("details[open]"))) return;
      fold = make("details", { className: "fold" });
      const head = make("summary", { className: "ev" });
      const at = make("span", { className: "at", textContent: two.querySelector(".at").textContent });
      head.append(at, two.querySelector(".ic").cloneNode(true), document.createElement("div"));
      const left = one.parentNode;
      two.before(fold);
      fold.append(head, two, one);
      if (left.childElementCount === 0) left.remove();
    }
    fold.append(row);
    const rows = [...fold.querySelectorAll(":scope > .row")];
    const subject = (item) => {
      const text = item.querySelector(".step > summary, div.step").textContent.trim();
      return (text.startsWith(`${kind} `) ? text.slice(kind.length + 1) : text).slice(0, 80);
    };
    const named = make("span", { className: "arg" });
    named.textContent = `${rows.slice(0, 2).map(subject).join(", ")} and ${rows.length - 2} more`;
    fold.querySelector("summary > div").replaceChildren(`${kind} ${rows.length} ${kind === "Read" ? "files" : "times"} `, named);
  };

  // Removes rows far above the end, so that the page of a long job stays fast.
  const trim = () => {
    const begin = log.firstElementChild;
    while (log.querySelectorAll(".row").length > MAX_ROWS && log.childElementCount > 1) log.firstElementChild.remove();
    const first = log.querySelector(".row[id^=e]");
    if (begin === log.firstElementChild || !first) return;
    const line = byId("earlier") ?? make("p", { className: "log-more", id: "earlier" });
    const link = line.querySelector("a") ?? make("a", { textContent: "Show earlier rows" });
    link.href = `${log.dataset.address}/log?before=${first.id.slice(1)}`;
    line.prepend(link);
    log.before(line);
  };

  const append = (fresh) => {
    const rows = [...fresh.querySelectorAll("body > .rows > :not(.fold), body > .rows > .fold > .row")];
    if (rows.length === 0) return;
    const follow = atBottom() && getSelection().isCollapsed;
    const segment = make("div", { className: "rows fresh" });
    log.append(segment);
    const added = rows.filter((row) => !adopt(row));
    for (const row of added) add(row, segment);
    if (segment.childElementCount === 0) segment.remove();
    if (added.length === 0) return;
    byId("no-log").hidden = true;
    if (follow) {
      trim();
      toEnd();
    } else {
      unread += added.length;
      jump.textContent = `↓ ${unread} new · Jump to live`;
      jump.hidden = false;
    }
  };

  const replaceWhatIsLeft = () => {
    for (const [id, there] of [...left]) replace(id, there.ownerDocument);
    if (left.size > 0) setTimeout(replaceWhatIsLeft, 1000);
  };

  const end = () => {
    say("");
    timer = 0;
    wait = 0;
    replaceWhatIsLeft();
  };

  const later = (ms) => {
    clearTimeout(timer);
    timer = document.hidden ? 0 : setTimeout(ask, ms);
  };

  const askAgain = () => {
    failed += 1;
    lost();
    later(Math.min(30000, 500 * 2 ** failed) * (0.75 + Math.random() / 2));
  };

  const ask = async () => {
    if (asking || wait === 0) return;
    asking = true;
    request = new AbortController();
    try {
      const answer = await fetch(`${log.dataset.address}?after=${encodeURIComponent(cursor)}`, {
        headers: { Accept: "text/html; fragment" },
        cache: "no-store",
        redirect: "error",
        signal: AbortSignal.any([request.signal, AbortSignal.timeout(20000)]),
      });
      if ([401, 403, 404].includes(answer.status)) {
        end();
        say("Out of date: sign in again", "stale");
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      failed = 0;
      replace("head", fresh);
      const read = Number(fresh.getElementById("head").dataset.read);
      for (const mark of marks()) if (mark.parentNode.id.slice(1) <= read) mark.remove();
      replace("actions", fresh);
      speak(fresh);
      replace("facts", fresh);
      updateRequest(fresh);
      replace("kept", fresh);
      replace("used", fresh);
      tick();
      append(fresh);
      byId("rest")?.remove();
      const state = fresh.querySelector("#head .pill")?.textContent ?? word;
      if (word && word !== state) byId("announce").textContent = state;
      word = state;
      cursor = answer.headers.get("pullyard-cursor") || cursor;
      wait = Number(answer.headers.get("pullyard-next"));
      if (wait > 0) {
        reached();
        later(wait);
      } else {
        for (const mark of marks()) mark.textContent = "not read";
        end();
      }
    } catch {
      if (!request.signal.aborted) askAgain();
    } finally {
      asking = false;
    }
  };

  jump.addEventListener("click", toEnd);
  addEventListener("scroll", () => {
    if (!atBottom()) return;
    unread = 0;
    jump.hidden = true;
  }, { passive: true });
  document.addEventListener("visibilitychange", () => {
    if (wait === 0) return;
    if (document.hidden) {
      clearTimeout(timer);
      request.abort();
      say("Paused, the tab is hidden", "off");
    } else {
      later(0);
    }
  });

  say("Live");
  tick();
  later(wait);
})();
