# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 7d · Geometry and collapse
#
# After this notebook you can
#
# - measure how far two images are apart whatever their poses, and say what that costs where poses mean something;
# - say what the gradient of a similarity reaches, and why a training changes more than that;
# - make two collapses that the usual monitor does not see, and write a monitor that sees one.
#
# **Seen before:** notebooks 7b and 7c. **Time:** {minutes} minutes.

# %%
from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.diagnostics import orbit_collapse
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import notebook_07d as lesson

import torch

# %%
SEED = 0  # of all random numbers and trainings: change it and run again
C4 = cyclic(4)

# %% [markdown]
# ## 7d.1 A distance between orbits
#
# How far are two feature tables apart if the pose does not count? As far as in the best pose:
# $d(z, w) = \min_g \lVert z - \rho(g)\,w \rVert$. For tables of length 1, $\lVert z - \rho(g)\,w \rVert^2 = 2 - 2\,\kappa[g]$: the
# similarity *max* in other words.
#
# ### Exercise 1 · The distance, for any length


# %%
def orbit_distance(group, z, w):
    """The distances d of all pairs of z (B, C, |G|) and w (B', C, |G|): (B, B')."""
    kappa = orbit_correlation(group, z, w)  # (B, B', |G|)
    # BEGIN SOLUTION
    # GAP: ...
    squares = z.flatten(1).square().sum(dim=1)[:, None] + w.flatten(1).square().sum(dim=1)
    return (squares - 2 * kappa.amax(dim=2)).clamp_min(0).sqrt()
    # END SOLUTION


verdict = check("07.distance", orbit_distance)
distance = orbit_distance if verdict else lesson.orbit_distance  # for what follows
verdict

# %% tags=["solution-only"]
assert check("07.distance", orbit_distance).ok

# %% [markdown]
# It is a **metric on orbits**: symmetric, zero only within an orbit, and with the triangle inequality. For if $g$ brings $w$
# nearest to $z$, and $h$ brings $v$ nearest to $w$, then
# $\lVert z - \rho(gh) v \rVert \le \lVert z - \rho(g) w \rVert + \lVert \rho(g) w - \rho(g) \rho(h) v \rVert$, and the last one is
# $d(w, v)$.
#
# And $d^2$? Count the triples of 60 random tables that violate the triangle inequality.

# %%
tables = lesson.points(SEED)  # (60, 2, 4)
d = distance(C4, tables, tables)
lesson.triangle_violations(d), lesson.triangle_violations(d**2)

# %% [markdown]
# **Seen:** $d$ violates it in no triple, $d^2$ does in hundreds.

# %% tags=["fold"]
# Holds: $d$ violates it in no triple, $d^2$ does in hundreds.
assert lesson.triangle_violations(d) == 0 and lesson.triangle_violations(d**2) >= 200

# %% [markdown]
# ## 7d.2 Neighbours
#
# A metric is what nearest neighbours need. A small $C_4$ network learns for a few seconds which way up digits are (notebook 5
# says how); then it stays as it is.
#
# **Predict.** Who are the neighbours of a digit that lies on its side, by the plain distance and by that of orbits? And of one
# that stands upright, among upright digits: which distance is better?

# %%
network = lesson.turn_reader(SEED)  # images -> features (B, 16, 4) of length 1
lesson.neighbours(network)

# %%
lesson.nearest_scores(network)

# %% [markdown]
# **Seen:** the distance of orbits finds the same neighbours in every pose. Turned, the plain distance finds the right label in
# less than half as many cases. Upright it is the better one: of twenty such networks it is ahead in 16 and behind in one, by one
# point in the mean (87.55 % right labels against 86.55 %).
#
# **Why:** among upright digits the pose is knowledge. Where the two name different neighbours, that of the orbits fits best in
# another pose than upright (or it would be the nearest by both). Absorbing turns is no gain in itself: it pays where poses are
# accidents.

# %% tags=["fold"]
# Holds: the distance of orbits finds the same neighbours in every pose.
# Holds: Turned, the plain distance finds the right label in less than half as many cases.
# Holds: Upright it is the better one: of twenty such networks it is ahead in 16 and behind in one, by one
#   point in the mean (87.55 % right labels against 86.55 %).
from eqssl_edu.contrastive import orbit_distance as library_distance

upright, turned = (
    library_distance(C4, network(x), lesson.known(network)) for x in lesson.in_both_poses().values()
)
assert torch.equal(upright.argsort(dim=1)[:, :6], turned.argsort(dim=1)[:, :6])
scores = lesson.nearest_scores(network)
assert scores["orbits, upright"] == scores["orbits, turned"]
assert scores["plain, turned"] < 0.5 * scores["plain, upright"]
plain, orbits = (
    torch.tensor([run[f"{name}, upright"] for run in lesson.found()]) for name in ("plain", "orbits")
)
assert (int((plain > orbits).sum()), int((plain < orbits).sum()), len(plain)) == (16, 1, 20)
assert abs(plain.mean() - 0.8755) < 1e-5 and abs(orbits.mean() - 0.8655) < 1e-5

# %% [markdown]
# ## 7d.3 What a gradient reaches, and what a training changes
#
# Along the group axis each channel splits into parts: *trivial* (constant), *frequency 1* and *frequency 2*. We take the
# gradient of InfoNCE at the features of 200 pairs of views, scaled to length 1.
#
# **Predict.** Which parts does it have for *mean*?

# %%
shares = lesson.gradient_shares(network, SEED)
lesson.show_shares(shares, "Where the gradient at the features goes")

# %% [markdown]
# **Seen:** with *mean* all of the gradient is trivial; with the others at least a tenth is not.
#
# So do the other parts stay as they are, under *mean*? A gradient at the *features* is not yet one at the *weights*. We train a
# new network for 60 steps, with *mean* and with *max*, and compare the parts of its features before and after.

# %%
trained = lesson.sixty_steps(SEED)
lesson.show_shares({name: lesson.part_shares(z) for name, z in trained.items()}, "The parts of the features")

# %% [markdown]
# **Seen:** 60 steps of *mean* change the other parts by more than half of their size. They leave them less than half of their
# share. After 60 steps of *max* the share is at least three times that.
#
# **Why:** parts are no channels. Every channel has all of them, and the same weights make them all: whoever moves the trivial
# parts moves the others, too. And since features are scaled to length 1, the others can grow or shrink at the cost of the
# trivial ones. So do not say that they learn nothing. Nothing is *asked* of them, and nobody looks after them.

# %% tags=["fold"]
# Holds: with *mean* all of the gradient is trivial; with the others at least a tenth is not.
# Holds: 60 steps of *mean* change the other parts by more than half of their size.
# Holds: They leave them less than half of their share.
# Holds: After 60 steps of *max* the share is at least three times that.
assert shares["mean"]["trivial"] > 1 - 1e-9
assert all(share["trivial"] < 0.9 for kind, share in shares.items() if kind != "mean")
start, end, _ = (z - z.mean(dim=2, keepdim=True) for z in trained.values())
assert (end - start).norm() > 0.5 * start.norm()
before, after_mean, after_max = (1 - lesson.part_shares(z)["trivial"] for z in trained.values())
assert after_mean < 0.5 * before and after_max > 3 * after_mean

# %% [markdown]
# ## 7d.4 Orbit collapse
#
# A network can cheat: the *same* features for every image make all views agree. That is **collapse**, and everybody watches a
# monitor for it: the spread (standard deviation) of the normalised features, 0 in a collapse and 1 at best.
#
# **Predict.** Can all images be alike to *max*, while this monitor reads 1?
#
# Ask gradient descent: 64 free tables `(4, 4)`. Its loss wants them alike in the distance of orbits, and the usual monitor
# high.

# %%
monitors, start, collapsed = lesson.collapsing(SEED)
lesson.show_lines(monitors, "Three monitors during a collapse", "spread")

# %%
lesson.show_poses(start, collapsed)

# %% [markdown]
# **Seen:** at the end there are at most four different columns, one table $v$ in four poses. The usual monitor is above 0.99. The
# spread in the metric of orbits is below 0.05, and so is that of features max-pooled over the group. The rank has fallen from
# above 12 to at most 4.
#
# This is **orbit collapse**, $z_i = \rho(g_i)\,v$: all that a feature says is a random pose. The rank is RankMe (Q. Garrido and
# others, arXiv 2210.02885), the exponential of the entropy of the normalised singular values; $|G|$ tables cannot have more than
# $|G|$. Features that fill only a subspace are called a **dimensional collapse** (L. Jing and others, arXiv 2110.09348); here the
# group says which subspace.

# %% tags=["fold"]
# Holds: at the end there are at most four different columns, one table $v$ in four poses.
# Holds: The usual monitor is above 0.99.
# Holds: The spread in the metric of orbits is below 0.05, and so is that of features max-pooled over the group.
# Holds: The rank has fallen from above 12 to at most 4.
first, last = (orbit_collapse(C4, z) for z in (start, collapsed))
places = orbit_correlation(C4, collapsed, collapsed[:1])[:, 0].argmax(dim=1)  # the pose of each
poses = torch.stack([C4.transform_features(collapsed[0], g) for g in C4.elements])
assert (collapsed - poses[places]).flatten(1).norm(dim=1).max() < 0.1
assert last.spread > 0.99 and last.orbit_spread < 0.05 and last.pooled_spread < 0.05
assert last.rank < 4.05 and first.rank > 12 and last.verdict == "orbit collapse"

# %% [markdown]
# ### Exercise 2 · A monitor that sees it
#
# One number for features `(B, C, |G|)`: (nearly) 0 in every complete collapse and every orbit collapse, large for random features,
# whatever their lengths. Not with a distance: find an *invariant* first, then its spread.


# %%
def monitor(z):
    """A spread that is 0 if all features lie in one orbit."""
    # BEGIN SOLUTION
    # GAP: # 1. something that no turn changes (B, C)   2. its length   3. its standard deviation over the batch
    # GAP: ...
    pooled = torch.nn.functional.normalize(z.amax(dim=2), dim=1)
    return (pooled - pooled.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    # END SOLUTION


check("07.monitor", monitor)

# %% tags=["solution-only"]
assert check("07.monitor", monitor).ok
assert monitor(collapsed) < 0.05 and monitor(start) > 0.2

# %% [markdown]
# ## 7d.5 Group collapse
#
# The opposite. 48 free tables, each a class of its own; its two views are the table, turned by *two independent elements*. We
# minimise InfoNCE and watch the trivial share of the energy. Random features have 1/4.
#
# **Predict** where it goes with *plain*, *mean* and *max*.

# %%
tracks, ends = lesson.turned_apart(SEED)
lesson.show_lines(tracks, "How much of the features forgets the orientation", "trivial share")

# %% [markdown]
# **Seen:** with *plain* and *mean* more than 99 % become trivial, with *max* less than 60 %. The usual monitor and the orbit spread
# stay above 0.5 in all three.
#
# Under *plain* the only way to be like one's own turned copy is to have no orientation; under *mean* only the trivial part counts.
# This is **group collapse**: classes survive, everything equivariant is gone, and an equivariant task that comes later has nothing to
# work with. It, too, is a dimensional collapse: of $C |G|$ dimensions $C$ are left. No spread sees it; the energy of the parts
# does.

# %% tags=["fold"]
# Holds: with *plain* and *mean* more than 99 % become trivial, with *max* less than 60 %.
# Holds: The usual monitor and the orbit spread stay above 0.5 in all three.
assert min(tracks[kind][-1] for kind in ("plain", "mean")) > 0.99 and max(tracks["max"]) < 0.6
reports = {kind: orbit_collapse(C4, z) for kind, z in ends.items()}
assert all(min(report.spread, report.orbit_spread) > 0.5 for report in reports.values())

# %% [markdown]
# ## What we can now do, and what not yet
#
# We can compare images whatever their poses, and see both collapses. We have trained no network to the end with any of this:
# notebook 8 does, and asks what remains of these differences. Where to read on: `eqssl_edu/diagnostics/collapse.py`; T. Wang and
# P. Isola (arXiv 2005.10242) on alignment and uniformity, there with the plain distance.
#
# Next: **8 · Training with a contrastive loss**.
