"""The checks of notebook 12."""

import torch
from exercise_checks import ExerciseChecks


def coins_guessed(
    changed=lambda group, g, x: group.transform(x, g),
    where=lambda coins: coins,
    guess=lambda z, g: z[:, g] > z[:, 0],
    hit=lambda guesses, coins: guesses == coins,
    said=lambda found: found.sum(),
):
    """A function with the signature of 12.hits, picture by picture."""

    def answer(group, g, images, coins, scores):
        pictures = [
            changed(group, g, x) if c else x for x, c in zip(images, where(coins).tolist(), strict=True)
        ]
        return said(hit(guess(scores(torch.stack(pictures)), g), coins))

    return answer


def one_by_one(group, g, images, coins, scores):
    """Right: each picture alone, and a plain number."""
    count = 0
    for x, coin in zip(images, coins, strict=True):
        z = scores(group.transform(x[None], g if coin else 0))[0]
        count += bool(z[g] > z[0]) == bool(coin)
    return count


def both_at_once(group, g, images, coins, scores):
    """Right: the scores of all pictures as they are, and of all of them changed; the coin chooses."""
    z = torch.where(coins[:, None], scores(group.transform(images, g)), scores(images))
    return (z.softmax(dim=1)[:, [0, g]].argmax(dim=1) == coins.long()).float().sum()


def subgroup(choose):
    """A function with the signature of 12.symmetry."""
    return lambda group, told: choose([H for H in group.subgroups() if not set(H) & set(told)])


def grown(group, told):
    """Right: from the identity, add elements as long as nothing that was told is generated; the best of all orders."""
    best = (0,)
    for start in group.elements:
        found = (0,)
        for g in (start, *group.elements):
            larger = group.generate((*found, g))
            found = found if set(larger) & set(told) else larger
        best = max(best, found, key=len)
    return set(best)


MISTAKES = {
    "12.hits": {
        "That is their share": coins_guessed(said=lambda found: found.float().mean()),
        "These are the misses": coins_guessed(hit=lambda guesses, coins: guesses != coins),
        "All images were changed": coins_guessed(where=torch.ones_like),
        "No image was changed": coins_guessed(where=torch.zeros_like),
        "where the coin is False": coins_guessed(where=torch.logical_not),
        "by the inverse of g": coins_guessed(
            changed=lambda group, g, x: group.transform(x, int(group.inverse[g]))
        ),
        "a third element": coins_guessed(guess=lambda z, g: z.argmax(dim=1) == g),
        "Guesses of heads alone": coins_guessed(hit=torch.logical_and),
        "Change where the coin says so": coins_guessed(guess=lambda z, g: z[:, g] > 0),
        "Count over all images": coins_guessed(said=lambda found: found),
        "Give it the pictures": lambda group, g, images, coins, scores: scores(images.flatten(1)),
    },
    "12.symmetry": {
        "That is no subgroup": lambda group, told: set(group.elements) - set(told),
        "can be told": lambda group, told: group.elements,
        "there is one of": lambda group, told: (0,),
        "with its elements": lambda group, told: [],
        "one of group.subgroups()": lambda group, told: ["r"],
    },
}

ALSO_RIGHT = {
    "12.hits": [coins_guessed(), one_by_one, both_at_once],
    "12.symmetry": [
        grown,
        subgroup(lambda found: list(max(reversed(found), key=len))),
        subgroup(lambda found: torch.tensor(found[-1])),
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("12_your_own_data",)
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
