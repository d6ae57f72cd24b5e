/**
 * Builds the call page into ../pipelines/page, where the server finds it and the wheel takes it.
 * The page asks nothing of the network but its own server; a content security policy holds that.
 */
import { readFileSync, existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, URL } from "node:url";
import { defineConfig, type Plugin } from "vite";

const POLICY = [
  "default-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'self'",
  "form-action 'none'",
].join("; ");

/** Packages that come in through CSS, which leaves no module behind to be counted. */
const FONTS = ["@fontsource-variable/noto-sans-telugu"];

/** Only in the built page: the development server injects scripts and a socket of its own. */
function contentSecurityPolicy(): Plugin {
  const tag = {
    tag: "meta",
    attrs: { "http-equiv": "Content-Security-Policy", content: POLICY },
    injectTo: "head-prepend" as const,
  };
  return { name: "maata:csp", apply: "build", transformIndexHtml: () => [tag] };
}

/** licences.txt: the licence text of every package whose code or font is in the built page. */
function licences(): Plugin {
  const packages = new Map<string, string>();
  return {
    name: "maata:licences",
    apply: "build",
    moduleParsed: ({ id }) => {
      const root = packageRoot(id);
      if (root) packages.set(root, licenceOf(root));
    },
    generateBundle() {
      for (const name of FONTS) {
        const root = fileURLToPath(new URL(`node_modules/${name}`, import.meta.url));
        packages.set(root, licenceOf(root));
      }
      const texts = [...packages.values()].sort();
      this.emitFile({ type: "asset", fileName: "licences.txt", source: texts.join("\n\n") });
    },
  };
}

function packageRoot(id: string): string | null {
  const path = id.replace(/^\0+/, "").replace(/\?.*$/, "");
  if (!path.includes("node_modules")) return null;
  for (let at = dirname(path); at.includes("node_modules"); at = dirname(at)) {
    const file = join(at, "package.json");
    if (existsSync(file) && "version" in JSON.parse(readFileSync(file, "utf8"))) return at;
  }
  return null;
}

function licenceOf(root: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const file = ["LICENSE", "LICENSE.md", "LICENSE.txt", "license", "LICENCE", "LICENSE-MIT.txt"]
    .map((candidate) => join(root, candidate))
    .find((candidate) => existsSync(candidate));
  const text = file ? readFileSync(file, "utf8").trim() : `No licence file is in the package; its declared licence is ${license}.`;
  return `${name} ${version} (${license})\n${"=".repeat(72)}\n${text}\n`;
}

export default defineConfig({
  base: "./", // works under any path of a proxy
  plugins: [contentSecurityPolicy(), licences()],
  resolve: {
    alias: {
      // The SDK's default media manager, which we replace, loads a vendor's code from its network.
      "@daily-co/daily-js": fileURLToPath(new URL("src/call/absent.ts", import.meta.url)),
    },
  },
  build: {
    outDir: "../pipelines/page",
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: {
      "/api": "http://127.0.0.1:7860",
      "/ready": "http://127.0.0.1:7860",
      "/ws": { target: "ws://127.0.0.1:7860", ws: true },
    },
  },
});
