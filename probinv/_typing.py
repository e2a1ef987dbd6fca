"""The spaces of the problem as jaxtyping names.

    z  in Z = R^n         unconstrained coordinates, where every method works
    x  in X               an input of the network: one array, x = T(z)
    y  in Y               an output of the network: one array, y = f(x)

Everything is written for one example; batches are `jax.vmap` of it.
"""

from jaxtyping import Array, Bool, Float, Int, Key

type Z = Float[Array, " n"]
type X = Float[Array, "*x"]
type Y = Float[Array, "*y"]
type Scalar = Float[Array, ""]
type Flag = Bool[Array, ""]
type Count = Int[Array, ""]
type PRNGKey = Key[Array, ""]
