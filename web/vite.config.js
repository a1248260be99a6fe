import { defineConfig } from "vite";

// Three files of fixed names: the binary holds them, and their ETags tell versions apart.
export default defineConfig({
  build: {
    outDir: process.env.MILLRACE_WEB_OUT ?? "dist",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        entryFileNames: "app.js",
        assetFileNames: "app[extname]",
      },
    },
  },
  // `npm run dev` beside a `millrace serve`.
  server: { proxy: { "/api": "http://127.0.0.1:8080", "/logs": "http://127.0.0.1:8080" } },
});
