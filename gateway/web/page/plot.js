// SPDX-License-Identifier: BSD-3-Clause
// The plot of the last minutes, and the little ones in the table of objects.
import { clock, speed } from "./format.js";

const svg = "http://www.w3.org/2000/svg";

/** top returns a round number not below n of which a quarter is round, too. */
function top(n) {
  if (n <= 0) return 125; // 1 kbit/s: something to draw a line on
  const power = 10 ** Math.floor(Math.log10(n * 8));
  for (const step of [1, 2, 4, 8, 10]) {
    if (step * power >= n * 8) return (step * power) / 8;
  }
  return (10 * power) / 8;
}

/** A Plot draws two series over time on a canvas. */
export class Plot {
  /** reading is the element that says the values under the pointer. */
  constructor(canvas, reading) {
    this.canvas = canvas;
    this.reading = reading;
    this.at = null; // time under the pointer, ms
    this.data = { times: [], rx: [], tx: [], span: 300, name: "everything" };
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointermove", (e) => this.point(e.offsetX));
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("keydown", (e) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
      if (step) this.walk(step);
    });
    canvas.addEventListener("blur", () => this.point(null));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** show takes what to draw: times in ms, rates in bytes/s (negative: not known), span in seconds. */
  show(data) {
    this.data = data;
    this.draw();
  }

  box() {
    return { left: 80, right: this.canvas.clientWidth - 6, top: 22, bottom: this.canvas.clientHeight - 20 };
  }

  range() {
    const last = this.data.times.at(-1) ?? Date.now();
    return { from: last - this.data.span * 1000, to: last };
  }

  point(x) {
    const b = this.box(), r = this.range();
    this.at = x === null || x < b.left ? null : r.from + ((x - b.left) / (b.right - b.left)) * (r.to - r.from);
    this.draw();
  }

  walk(step) {
    const r = this.range();
    this.at = Math.min(r.to, Math.max(r.from, (this.at ?? r.to) + step * 1000));
    this.draw();
  }

  /** near returns the index of the sample nearest to a time, -1 without one. */
  near(time) {
    let best = -1;
    this.data.times.forEach((t, i) => {
      if (best < 0 || Math.abs(t - time) < Math.abs(this.data.times[best] - time)) best = i;
    });
    return best;
  }

  draw() {
    const c = this.canvas, ratio = devicePixelRatio || 1;
    const width = c.clientWidth, height = c.clientHeight;
    if (!width || !height) return;
    if (c.width !== Math.round(width * ratio) || c.height !== Math.round(height * ratio)) {
      c.width = Math.round(width * ratio);
      c.height = Math.round(height * ratio);
    }
    const g = c.getContext("2d"), style = getComputedStyle(c), b = this.box(), r = this.range();
    const colour = (name) => style.getPropertyValue(name);
    const { times, rx, tx } = this.data;
    const seen = times.map((t, i) => i).filter((i) => times[i] >= r.from);
    let highest = 0;
    for (const i of seen) highest = Math.max(highest, rx[i], tx[i]);
    const max = top(highest);
    const X = (t) => b.left + ((t - r.from) / (r.to - r.from)) * (b.right - b.left);
    const Y = (v) => b.bottom - (v / max) * (b.bottom - b.top);

    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    g.font = "12px system-ui, sans-serif";
    g.lineWidth = 1;
    g.strokeStyle = colour("--line");
    g.fillStyle = colour("--quiet");
    g.textAlign = "right";
    g.textBaseline = "middle";
    for (let k = 0; k <= 4; k++) {
      const y = Math.round(Y((max * k) / 4)) + 0.5;
      g.beginPath();
      g.moveTo(b.left, y);
      g.lineTo(b.right, y);
      g.stroke();
      g.fillText(speed((max * k) / 4), b.left - 6, y);
    }
    g.textBaseline = "top";
    const marks = width < 500 ? 2 : 5;
    for (let k = 0; k <= marks; k++) {
      const t = r.from + ((r.to - r.from) * k) / marks;
      g.textAlign = k === 0 ? "left" : k === marks ? "right" : "center";
      g.fillText(clock(t), X(t), b.bottom + 5);
    }
    const line = (values, name) => {
      g.strokeStyle = colour(name);
      g.lineWidth = 1.8;
      g.lineJoin = "round";
      g.beginPath();
      let pen = false;
      for (const i of seen) {
        if (values[i] < 0) {
          pen = false;
        } else if (pen) {
          g.lineTo(X(times[i]), Y(values[i]));
        } else {
          g.moveTo(X(times[i]), Y(values[i]));
          pen = true;
        }
      }
      g.stroke();
    };
    line(rx, "--rx");
    line(tx, "--tx");

    const last = times.length - 1;
    const say = (i) => (rx[i] < 0 ? "not known" : speed(rx[i]) + " in, " + speed(tx[i]) + " out");
    if (this.at !== null && last >= 0) {
      const i = this.near(this.at);
      g.strokeStyle = colour("--quiet");
      g.lineWidth = 1;
      g.beginPath();
      g.moveTo(X(times[i]), b.top);
      g.lineTo(X(times[i]), b.bottom);
      g.stroke();
      this.reading.textContent = clock(times[i]) + ": " + say(i);
    } else {
      this.reading.textContent = last < 0 ? "" : say(last);
    }
    c.setAttribute("aria-label", "Throughput of " + this.data.name + (last < 0 ? "" : ", now " + say(last) + ", at most " + speed(highest) + " in this time"));
  }
}

/** spark draws the last values of a series into an element, as a small line. */
export function spark(cell, series, points) {
  let pic = cell.firstElementChild;
  if (!pic) {
    pic = document.createElementNS(svg, "svg");
    pic.setAttribute("class", "spark");
    pic.setAttribute("viewBox", "0 0 100 20");
    pic.setAttribute("preserveAspectRatio", "none");
    pic.setAttribute("aria-hidden", "true");
    for (const name of ["rx", "tx"]) {
      const l = document.createElementNS(svg, "polyline");
      l.setAttribute("class", name);
      pic.append(l);
    }
    cell.append(pic);
  }
  const rx = series ? series.rx.slice(-points) : [], tx = series ? series.tx.slice(-points) : [];
  const max = Math.max(1, ...rx, ...tx);
  [rx, tx].forEach((values, k) => {
    const begin = points - values.length;
    const at = values.map((v, i) => ((begin + i) * 100) / (points - 1) + "," + (19 - (Math.max(0, v) / max) * 18));
    pic.children[k].setAttribute("points", at.join(" "));
  });
}
