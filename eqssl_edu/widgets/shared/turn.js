// The picture is the handle. Stands in front of explorers whose picture can be turned.

/** From one angle to another the short way, in degrees: -180 .. 180. */
const shortWay = (from, to) => ((((to - from) % 360) + 540) % 360) - 180;

/**
 * A stage on which a picture is turned around its centre: grabbed anywhere by mouse, pen or finger, it follows the hand
 * at once. Degrees count counter-clockwise; at() is the angle at the start, turn(angle) takes it on, 0 .. 360, and
 * returns what it made of it. Let go no further than `within` from one of the angles, the picture settles there, unless
 * stays(event); without a limit, for a picture that knows no other angles, turn gets the nearest one all the time.
 * No tab stop: sliders or buttons beside it say the same. set(angle, resting) is for paint: the angle that is painted.
 */
function makeHandle(picture, { angles, at, turn, within = Infinity, stays = (event) => event.shiftKey }) {
  const stage = make(".eqssl-handle", picture);
  let painted = 0;
  let hand = null; // the angle of the hand, until its last move is painted
  let last = null; // the direction from the centre to the hand; null before the first, which must not be too close
  let told = null; // what turn() has made of the last move; null before the first
  const lean = () => {
    picture.style.rotate = hand === null ? "" : `${-shortWay(painted, hand)}deg`;
  };
  const direction = (event) => {
    const [x, y] = placeIn(stage, event).map((share) => share - 0.5);
    return Math.hypot(x, y) < 0.06 ? last : (-180 / Math.PI) * Math.atan2(y, x);
  };
  const far = (angle) => Math.abs(shortWay(hand, angle));
  const nearest = () => angles.reduce((best, angle) => (far(angle) < far(best) ? angle : best));
  const tell = (angle) => {
    const wish = ((angle % 360) + 360) % 360;
    if (wish !== told) told = turn(wish);
  };
  const grab = (event) => {
    if (event.defaultPrevented || !event.isPrimary) return false; // a pen draws, or it is a second finger
    last = told = null;
    [hand, last] = [at(), direction(event)];
    stage.classList.add("eqssl-held");
  };
  const follow = (event) => {
    const now = direction(event);
    const by = last === null ? 0 : shortWay(last, now);
    last = now;
    if (!by) return;
    hand += by;
    tell(within === Infinity ? nearest() : hand);
    lean();
  };
  const release = (event) => {
    stage.classList.remove("eqssl-held");
    if (told !== null && far(nearest()) <= within && !stays(event)) tell(nearest());
    hand = told === painted ? null : told;
    lean();
  };
  onDrag(stage, grab, follow, release);
  const set = (angle, resting) => {
    painted = angle;
    if ((resting || angle === hand) && !stage.classList.contains("eqssl-held")) hand = null;
    lean();
  };
  return Object.assign(stage, { set });
}

/** The same for a picture that elements of C_n or D_n move: n rotations, then n reflections. Only the turn changes. */
function makeElementHandle(picture, rotations, at, move) {
  const degrees = 360 / rotations;
  const angles = Array.from({ length: rotations }, (_, k) => k * degrees);
  const angleOf = (element) => (element % rotations) * degrees;
  const turn = (angle) => {
    const element = at();
    move(element - (element % rotations) + Math.round(angle / degrees));
    return angle;
  };
  const handle = makeHandle(picture, { angles, at: () => angleOf(at()), turn });
  const { set } = handle;
  handle.set = (element, resting) => set(angleOf(element), resting);
  return handle;
}
