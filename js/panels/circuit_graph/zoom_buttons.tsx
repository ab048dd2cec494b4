// Buttons for readers without a wheel or a keyboard, in a corner of a picture that is larger than its view.
import { type Zoom, zoomIn, zoomOut } from "./zoom";

export function ZoomButtons({ zoom, least }: { zoom: Zoom; least: number }) {
  return (
    <span class="hs-zoom" role="group" aria-label="Size of the picture">
      <OneButton name="zoom-in" label="Closer" keys="+" sign={"+"} act={() => zoomIn(zoom)} />
      <OneButton
        name="zoom-out"
        label="Farther"
        keys={"\u2212"}
        sign={"\u2212"}
        act={() => zoomOut(zoom)}
        off={zoom.scale <= least}
      />
      <OneButton
        name="zoom-fit"
        label="Fit all of it"
        keys="0"
        sign="fit"
        act={zoom.fit}
        off={zoom.scale <= least}
      />
    </span>
  );
}

interface OneButtonProps {
  name: string;
  label: string;
  keys: string;
  sign: string;
  act(): void;
  off?: boolean;
}

function OneButton({ name, label, keys, sign, act, off = false }: OneButtonProps) {
  return (
    <button
      type="button"
      class="hs-plain hs-focusable"
      data-hs={name}
      aria-label={label}
      title={`${label}: the key ${keys} in the picture, or Ctrl and the wheel. Drag to move`}
      disabled={off}
      onClick={act}
    >
      {sign}
    </button>
  );
}
