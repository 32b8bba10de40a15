// Bundles the UI into the package: `node build.mjs`, or `--watch` while working on it. What is written is what a server
// sends: names with a digest of what is in them, each beside its gzipped form.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const OUT = new URL("../src/penstock/api/static/", import.meta.url).pathname;
const watching = process.argv.includes("--watch");

const options = {
  absWorkingDir: new URL(".", import.meta.url).pathname,
  entryPoints: { app: "src/main.tsx", style: "src/theme.css" },
  bundle: true,
  minify: !watching,
  format: "esm",
  target: ["es2022", "chrome109", "firefox115", "safari16"],
  jsx: "automatic",
  jsxImportSource: "preact",
  outdir: "unused",
  write: false,
  logLevel: "warning",
  legalComments: "none",
  plugins: [{ name: "write", setup: (build) => build.onEnd(write) }],
};

function write(result) {
  if (result.errors.length) return;
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(OUT, { recursive: true });
  const names = {};
  for (const file of result.outputFiles) {
    const [, stem, kind] = /([^/]+)\.(js|css)$/.exec(file.path);
    const digest = createHash("sha256").update(file.contents).digest("hex").slice(0, 12);
    names[`${stem}.${kind}`] = put(`${stem}-${digest}.${kind}`, file.contents);
  }
  const icon = put(digested("icon", "svg", readFileSync(new URL("src/icon.svg", import.meta.url))), readFileSync(new URL("src/icon.svg", import.meta.url)));
  put("index.html", Buffer.from(page(names["app.js"], names["style.css"], icon)));
}

function digested(stem, kind, contents) {
  return `${stem}-${createHash("sha256").update(contents).digest("hex").slice(0, 12)}.${kind}`;
}

function put(name, contents) {
  writeFileSync(OUT + name, contents);
  writeFileSync(`${OUT}${name}.gz`, gzipSync(contents, { level: 9 }));
  return name;
}

function page(script, style, icon) {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Penstock</title>
<link rel="icon" type="image/svg+xml" href="/assets/${icon}">
<link rel="stylesheet" href="/assets/${style}">
<script type="module" src="/assets/${script}"></script>
</head>
<body><div id="app"></div><noscript>This page needs JavaScript. The same can be asked by <code>penstock</code> on the command line, and over REST (/docs).</noscript></body>
</html>
`;
}

if (watching) {
  await (await esbuild.context(options)).watch();
} else {
  await esbuild.build(options);
}
