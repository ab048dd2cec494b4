// The JSX factory of the bundles: calls of `h` make them a tenth smaller than preact/jsx-runtime does.
export { Fragment, h } from "preact";
