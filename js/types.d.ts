// Style sheets are bundled as text and put into a <style> element by lib/mount.ts.
declare module "*.css" {
  const text: string;
  export default text;
}
