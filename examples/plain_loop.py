"""A loop of your own: a plan with a schedule, masks that any run repeats, and a checkpoint that goes on with them."""

import torch
from torch import nn

import dropkit as dk

STEPS = 200


def main() -> None:
    torch.manual_seed(0)
    x = torch.randn(256, 16)
    y = (x[:, :4].prod(1) > 0).long()
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    rate = dk.nn.LinearSchedule(0.5, 0.1, steps=STEPS)
    plan = dk.plan(model, [dk.Rule(at="hidden", rate=rate)])
    print(plan)

    with plan.apply(model), dk.random.stream(seed=1) as masks:
        for step in range(STEPS):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            dk.step()  # the next masks, and the next rate
            if step % 50 == 0:
                print(f"step {masks.step:3}: rate {rate.at(masks.step):.2f}, loss {loss.item():.3f}")
        checkpoint = {"model": model.state_dict(), "masks": masks.state_dict(), "plan": plan.to_json()}

    # later: the same plan, and the masks that would have come next
    plan = dk.surgery.Plan.from_json(checkpoint["plan"])
    model.load_state_dict(checkpoint["model"])
    with plan.apply(model), dk.random.stream(seed=1) as masks:
        masks.load_state_dict(checkpoint["masks"])
        print(f"goes on at step {masks.step} with rate {rate.at(masks.step):.2f}")


if __name__ == "__main__":
    main()
