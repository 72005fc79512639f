// SPDX-License-Identifier: BSD-3-Clause
// The live page: takes the events of the gateway and shows them.
import { age, bytes, clock, count, speed } from "./format.js";
import { Plot, spark } from "./plot.js";
import { fill, put } from "./table.js";

const $ = (id) => document.getElementById(id);
const points = 600; // as the server keeps
const small = 60; // points of the little plots

const plot = new Plot($("plot"), $("reading"));
let past = { times: [], series: [{ kind: "total", name: "", rx: [], tx: [], open: [] }] };
let now = null; // the newest sample

// The token has done its work: it stands in a cookie now, and need not be
// seen in the address, nor come back from the history.
if (new URLSearchParams(location.search).has("token")) history.replaceState(null, "", location.pathname);

// The stream. The browser itself comes back after a broken connection, but not
// after an error of the server.
let wait = 1;
function connect() {
  const source = new EventSource("events");
  source.addEventListener("past", (e) => {
    past = JSON.parse(e.data);
    wait = 1;
    showPlot();
  });
  source.addEventListener("now", (e) => {
    now = JSON.parse(e.data);
    record(now);
    link("live", "live");
    show();
  });
  source.onerror = () => {
    link("lost", "no connection, trying again");
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(connect, wait * 1000);
    wait = Math.min(30, wait * 2);
  };
}

function link(state, text) {
  $("link").dataset.state = state;
  put($("link"), text);
}

const id = (o) => (o.name ? o.kind + " " + o.name : o.kind);

/** record adds a sample to the past. */
function record(sample) {
  if (past.times.length && sample.time <= past.times.at(-1)) return;
  past.times.push(sample.time);
  const report = sample.report;
  const current = new Map(report.objects.map((o) => [id(o), o]));
  past.series[0].now = { rate: report.totals.rate, open: report.totals.open_sessions };
  past.series.slice(1).forEach((s) => {
    const o = current.get(id(s));
    s.now = o ? { rate: o.rate, open: o.book.open_sessions } : null;
    current.delete(id(s));
  });
  for (const o of current.values()) {
    const unknown = past.times.slice(1).map(() => -1);
    past.series.push({
      kind: o.kind, name: o.name ?? "", rx: unknown, tx: [...unknown], open: [...unknown],
      now: { rate: o.rate, open: o.book.open_sessions },
    });
  }
  for (const s of past.series) {
    s.rx.push(s.now?.rate?.rx_bytes ?? -1);
    s.tx.push(s.now?.rate?.tx_bytes ?? -1);
    s.open.push(s.now?.open ?? -1);
  }
  const over = past.times.length - points;
  if (over > 0) {
    past.times.splice(0, over);
    for (const s of past.series) for (const list of [s.rx, s.tx, s.open]) list.splice(0, over);
  }
  past.series = past.series.filter((s, i) => i === 0 || s.open.some((n) => n >= 0));
}

function showPlot() {
  const select = $("of");
  const ids = past.series.map((s, i) => (i === 0 ? "" : id(s)));
  if ([...select.options].some((o, i) => o.value !== ids[i]) || select.options.length !== ids.length) {
    const chosen = select.value;
    select.replaceChildren(...ids.map((name) => new Option(name || "everything", name)));
    select.value = ids.includes(chosen) ? chosen : "";
  }
  const s = past.series[Math.max(0, ids.indexOf(select.value))];
  plot.show({ times: past.times, rx: s.rx, tx: s.tx, span: Number($("span").value), name: select.value || "everything" });
}

const rate = (r, way) => (r ? speed(r[way]) : "");
const amount = (n, r) => (r && r > 0 ? speed(r) + " · " : "") + bytes(n);
const seconds = (ns) => ns / 1e9;

function state(s) {
  const kind = s === "up" ? "good" : s === "starting" || s === "draining" || s === "waiting" ? "mild" : "bad";
  return { text: s, kind };
}

function showTotals(report) {
  const t = report.totals;
  const list = [
    ["Objects up", t.objects_up + " of " + t.objects],
    ["Open sessions", count(t.open_sessions)],
    ["New per second", t.rate ? t.rate.sessions.toFixed(1) : "–"],
    ["From Ouroboros", rate(t.rate, "rx_bytes") || "–"],
    ["To Ouroboros", rate(t.rate, "tx_bytes") || "–"],
    ["Refused, failed", count(t.refused_sessions) + ", " + count(t.failed_sessions)],
  ];
  const box = $("totals");
  list.forEach(([label, value], i) => {
    if (!box.children[i]) {
      const pair = document.createElement("div");
      pair.append(document.createElement("dt"), document.createElement("dd"));
      box.append(pair);
    }
    put(box.children[i].children[0], label);
    put(box.children[i].children[1], value);
  });
  document.title = "o7gw " + t.objects_up + "/" + t.objects;
}

function showObjects(report) {
  const series = new Map(past.series.map((s) => [id(s), s]));
  fill($("objects"), report.objects.map((o) => {
    const b = o.book, at = (o.listen ?? []).concat(o.device ? [o.device] : []).join(" ");
    const refused = b.refused_sessions + b.failed_sessions;
    return [
      id(o), state(o.state), o.service ?? "", at,
      count(b.open_sessions) + (b.total_sessions ? " of " + count(b.total_sessions) : "") + (refused ? ", " + count(refused) + " not" : ""),
      amount(b.rx_bytes, o.rate?.rx_bytes), amount(b.tx_bytes, o.rate?.tx_bytes),
      { draw: (cell) => spark(cell, series.get(id(o)), small) },
      b.last_error ? { text: (b.last_error_time ? clock(Date.parse(b.last_error_time)) + " " : "") + b.last_error, kind: "bad" } : "",
    ];
  }), "No object is configured.");
}

function showSessions(report) {
  const wanted = $("filter").value.trim().toLowerCase().split(/\s+/).filter((w) => w);
  const all = report.objects.flatMap((o) => o.book.sessions.map((s) => ({ object: id(o), ...s })));
  all.sort((a, b) => a.age_ns - b.age_ns);
  const rows = all.map((s) => [
    s.object, s.protocol, s.source ?? "", s.target ?? "", s.service ?? "", s.peer ?? "",
    age(seconds(s.age_ns)), bytes(s.rx_bytes), bytes(s.tx_bytes),
  ]).filter((row) => wanted.every((w) => row.slice(0, 6).some((cell) => cell.toLowerCase().includes(w))));
  fill($("sessions"), rows, wanted.length ? "No session matches." : "No session is open.");
  const open = report.objects.reduce((n, o) => n + (["tunnel", "segment"].includes(o.kind) ? 0 : o.book.open_sessions), 0);
  put($("shown"), rows.length === open ? "" : rows.length + " of " + count(open) + (all.length < open ? ", the newest" : ""));
}

function showPeers(report) {
  fill($("peers"), report.peers.map((p) => [
    p.name || (p.flow ? "flow " + p.flow + (p.prefixes?.length ? ": " + p.prefixes.join(" ") : "") : "not authenticated"),
    p.object, state(p.state), count(p.sessions), bytes(p.rx_bytes), bytes(p.tx_bytes),
  ]), "Nobody is connected.");
}

function showNames(report) {
  fill($("names"), report.names.map((n) => [
    n.name, n.served ? { text: "served here", kind: "good" } : "used", (n.objects ?? []).join(", "), (n.addresses ?? []).join(" "),
  ]), "No name is known.");
}

function show() {
  if (!now) return;
  const report = now.report;
  put($("about"), report.config + " · process " + report.pid + " · " + (report.irmd ? "uses irmd" : "own node") +
    " · up " + age((now.time - Date.parse(report.started)) / 1000));
  showTotals(report);
  showPlot();
  showObjects(report);
  showSessions(report);
  showPeers(report);
  showNames(report);
}

$("filter").addEventListener("input", () => now && showSessions(now.report));
$("of").addEventListener("change", showPlot);
$("span").addEventListener("change", showPlot);
connect();
