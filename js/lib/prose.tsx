// Text in Markdown, of which Python has made a tree of elements. Only these elements are drawn, and links lead to pages.
import { type ComponentChildren, h } from "preact";

export type Prose = string | [tag: string, attributes: { href?: string }, parts: Prose[]];

const TAGS = new Set(
  "p h1 h2 h3 h4 h5 h6 em strong code pre ul ol li blockquote hr br a table thead tbody tr th td".split(" "),
);

export function ProseText({ parts }: { parts: readonly Prose[] }) {
  return <div class="hs-text">{parts.map(element)}</div>;
}

function element(part: Prose, key: number): ComponentChildren {
  if (typeof part === "string") return part;
  const [tag, { href }, inside] = part;
  if (!TAGS.has(tag)) return inside.map(element);
  const leads = tag === "a" && /^(https?|mailto):/i.test(href ?? "");
  const link = leads ? { href, target: "_blank", rel: "noreferrer noopener" } : {};
  const children = tag === "hr" || tag === "br" ? null : inside.map(element);
  const scrolled = tag === "pre" ? { tabIndex: 0 } : {}; // a long line is reached by keyboard
  return h(tag, { key, ...link, ...scrolled }, children);
}
