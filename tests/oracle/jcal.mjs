// Compares our jCal of the corpus with what ical.js (Mozilla's) makes of the same texts. By hand:
//
//   JCAL=tmp/jcal cargo test --test it ical_jcal::the_corpus
//   npm install --no-save --prefix tmp ical.js@2.2.1
//   NODE_PATH=tmp/node_modules node tests/oracle/jcal.mjs fixtures/ical tmp/jcal
//
// Each property that differs is printed, with its reason where there is one below. Ends with 1 when one has none.

import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { existsSync, readdirSync, readFileSync } from "node:fs";

// In a module NODE_PATH counts for `require` alone, which gives the package as it is or below `default`.
const loaded = createRequire(import.meta.url)("ical.js");
const ICAL = loaded.default ?? loaded;
const [texts, ours] = process.argv.slice(2);

// Why a property may differ: a test of both, each [name, parameters, type, ...values].
const REASONS = [
  ["numbers are spelled otherwise, or stand in another order", (a, b) => same(a, b)],
  ["a value is not of its type: ical.js passes it on under that type, we as `unknown` (RFC 7265 5)", (a, b) =>
    a[2] === "unknown" && b[2] !== "unknown"],
  ["ical.js does not know this property (RFC 7953, 7986, 9073, 9074, 9253)", (a, b) => a[2] !== "unknown" && b[2] === "unknown"],
  ["VALUE and the value are not of one type: ical.js believes VALUE, we the value", (a, b) =>
    a[2] !== b[2] && ["date", "date-time", "period", "duration"].includes(a[2])],
  ["ical.js undoes the escapes of TEXT in parameters, which RFC 5545 3.2 does not know", (a, b) => same(unescaped(a), b)],
  ["ical.js parts the values of the parameters it knows alone; RFC 5545 3.2 has them in any", (a, b) => same(joined(a), joined(b))],
  ["a fold within a character, which ical.js is not given as octets", (_, b) => JSON.stringify(b).includes("\ufffd")],
  ["ical.js writes WKST as a number and reads `5L` (RFC 7529) as 5; RFC 7265 3.6.10 leaves both as they are", (a, b) =>
    a[2] === "recur" && same(simple(a), simple(b))],
];

const withParams = ([name, params, ...rest], change) => [
  name,
  Object.fromEntries(Object.entries(params).map(([key, value]) => [key, change(value)])),
  ...rest,
];

function unescaped(property) {
  const one = (text) => text.replaceAll(/\\([\\;,nN])/g, (_, c) => (/n/i.test(c) ? "\n" : c));
  return withParams(property, (value) => (Array.isArray(value) ? value.map(one) : one(value)));
}

function joined(property) {
  return withParams(property, (value) => [value].flat().join(",").replaceAll('"', ""));
}

// A rule without what is known to differ.
function simple([name, params, type, { wkst, bymonth, ...rule }]) {
  return [name, params, type, { ...rule, wkst: wkst && 1, bymonth: bymonth && [bymonth].flat().map(parseFloat) }];
}

// Key order and the spelling of numbers do not count.
function same(a, b) {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((x, i) => same(x, b[i]));
  if (a && b && typeof a === "object" && typeof b === "object") {
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((k) => k in b && same(a[k], b[k]));
  }
  return a === b;
}

let properties = 0;
let objects = 0;
const found = new Map();
const note = (why, what) => found.set(why, [...(found.get(why) ?? []), what]);

function compare(a, b, of) {
  if (a[0] !== b[0]) return note("", `${of}: ${a[0]} and ${b[0]}`);
  if (a[1].length !== b[1].length) return note("", `${of}: ${a[1].length} and ${b[1].length} properties in ${a[0]}`);
  if (a[2].length !== b[2].length) return note("", `${of}: ${a[2].length} and ${b[2].length} components in ${a[0]}`);
  a[1].forEach((p, i) => {
    properties += 1;
    const q = b[1][i];
    if (JSON.stringify(p) === JSON.stringify(q)) return;
    const why = REASONS.find(([, fits]) => p[0] === q[0] && fits(p, q));
    note(why?.[0] ?? "", `${of}:\n    ${JSON.stringify(p)}\n    ${JSON.stringify(q)}`);
  });
  a[2].forEach((c, i) => compare(c, b[2][i], of));
}

// What is damaged each reader puts right in its own way, before there is any jCal.
const walk = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.name === "damaged") return [];
    return entry.isDirectory() ? walk(path) : path.endsWith(".ics") ? [path] : [];
  });

for (const path of walk(texts)) {
  const name = basename(path, ".ics");
  const file = join(ours, `${name}.json`);
  if (!existsSync(file)) {
    console.log(`${name}: calgate did not read it`);
    continue;
  }
  objects += 1;
  let theirs;
  try {
    theirs = ICAL.parse(readFileSync(path, "utf8"));
  } catch (e) {
    console.log(`${name}: ical.js does not read it: ${e.message}`);
    continue;
  }
  compare(JSON.parse(readFileSync(file, "utf8")), theirs, name);
}

for (const [why, what] of found) {
  console.log(`\n${why || "NOT EXPLAINED"} (${what.length}):`);
  what.slice(0, why ? 3 : 40).forEach((line) => console.log(`  ${line}`));
}
const bare = found.get("")?.length ?? 0;
console.log(`\n${objects} objects, ${properties} properties, ${bare} not explained`);
process.exit(bare > 0 ? 1 : 0);
