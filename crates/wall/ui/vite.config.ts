/**
 * Three pages, flat hashed assets, nothing inline: the server's policy refuses inline scripts and styles.
 * `npm run preview` serves the build in front of a running program (HUONG_URL), under the same policy.
 */
import { defineConfig } from "vite";

const program = process.env["HUONG_URL"] ?? "http://127.0.0.1:8080";
const policy =
  "default-src 'self'; img-src 'self' data: blob:; worker-src 'self' blob:; style-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export default defineConfig({
  // A page is one of three files, never a route of a single one.
  appType: "mpa",
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1500,
    rollupOptions: {
      input: ["wall.html", "console.html", "staff.html"],
      output: {
        entryFileNames: "assets/[name]-[hash].js",
        chunkFileNames: "assets/[name]-[hash].js",
        // The map's worker is a module that is only copied; servers know `.js`.
        assetFileNames: (asset) => (asset.names[0]?.endsWith(".mjs") ? "assets/[name]-[hash].js" : "assets/[name]-[hash][extname]"),
      },
    },
  },
  preview: {
    host: "127.0.0.1",
    proxy: Object.fromEntries(["/api", "/healthz", "/metrics", "/a/", "/cap/", "/feed.atom"].map((path) => [path, { target: program }])),
    headers: { "content-security-policy": policy },
  },
});
