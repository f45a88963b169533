"""The two critics of a plant."""

from jaxtyping import Float
from torch import Tensor

from models.choices import Values
from models.core import NetworkSize
from models.dynamics import Stage
from models.lot_sizing.encoder import LotEncoder
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.lots import LotState
from models.lot_sizing.simulator import LotPostState, LotSimulator
from models.networks import squashed


class LotValues(Values[LotState, LotPostState]):
    """Two networks of one encoder: cost to go before and after the decision [money]."""

    def __init__(self, simulator: LotSimulator, size: NetworkSize) -> None:
        super().__init__(simulator.num_stages)
        self.encoder = LotEncoder(simulator)
        self.before = squashed(self.encoder.size, size.width, size.depth, 1, 1.0)
        self.after = squashed(self.encoder.size, size.width, size.depth, 1, 1.0)

    def encoded(self, post: LotPostState, stage: Stage) -> LotPostState:
        """With the encoder's features."""
        return self.encoder.seen_post(post, stage)

    def value(self, state: LotState, stage: Stage) -> Float[Tensor, " batch"]:
        """V(s)."""
        said: Tensor = self.before(self.encoder(state, stage)).squeeze(1)
        return self.in_money(said, stage, 0)

    def post_value(self, post: LotPostState, stage: Stage) -> Float[Tensor, " batch"]:
        """V^x(s^x)."""
        said: Tensor = self.after(self.encoder(post, stage)).squeeze(1)
        return self.in_money(said, stage, 1)


def critics(plant: LotSizing, simulator: LotSimulator, size: NetworkSize) -> LotValues:
    """The critics of an instance."""
    return LotValues(simulator, size)
