// Style sheets are bundled as text and put into a <style> element by lib/mount.ts.
declare module "*.css" {
  const text: string;
  export default text;
}

// All views by the name of their folder; js/build.mjs generates this module from js/bundles.json.
declare module "hookscope:views" {
  const views: Record<string, () => import("./lib/widget").Widget>;
  export default views;
}
