INTERFACE: int

def philox(counter: tuple[int, int, int, int], key: tuple[int, int], /) -> tuple[int, int, int, int]: ...
def dense(
    form: int,
    dtype: int,
    address: int,
    out: int,
    count: int,
    key: tuple[int, ...],
    threshold: int,
    s: float,
    t: float = ...,
    u: float = ...,
    /,
) -> None: ...
def fused(
    form: int,
    dtype: int,
    addresses: tuple[int, ...],
    out: int,
    count: int,
    period: int,
    key: tuple[int, ...],
    threshold: int,
    scale: float,
    /,
) -> None: ...
def gaussian(
    noise: int, dtype: int, address: int, out: int, count: int, key: tuple[int, ...], deviation: float, /
) -> None: ...
def supported() -> list[str]: ...
def active() -> str: ...
def use(name: str, /) -> None: ...
