// SPDX-License-Identifier: BSD-3-Clause
// Numbers and times for people.

const units = ["", "k", "M", "G", "T", "P", "E"];

function scaled(n, unit) {
  let i = 0;
  while (n >= 1000 && i < units.length - 1) {
    n /= 1000;
    i++;
  }
  const digits = i === 0 ? 0 : n < 10 ? 2 : n < 100 ? 1 : 0;
  return n.toFixed(digits) + " " + units[i] + unit;
}

/** bytes writes a number of bytes. */
export const bytes = (n) => scaled(n, "B");

/** speed writes a rate in bytes/s as bits/s. */
export const speed = (n) => scaled(n * 8, "bit/s");

/** count writes a number of things. */
export const count = (n) => n.toLocaleString("en");

/** age writes a time span in seconds. */
export function age(s) {
  s = Math.max(0, Math.floor(s));
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor((s % 86400) / 3600) + " h";
}

/** clock writes a time of day, given in ms. */
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
