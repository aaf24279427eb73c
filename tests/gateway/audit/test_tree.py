"""The tree against RFC 6962's definitions, written out here as the RFC has them."""

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import tree as tree_module
from gateway.audit.tree import (
    EMPTY_ROOT,
    Frontier,
    Leaves,
    check_consistency,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_by_inclusion,
)

LEAVES = [b"leaf %d" % number for number in range(70)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


def tree_hash(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\1" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()


def frontier(size: int) -> Frontier:
    tree = Frontier()
    tree.add_lines(LEAVES[:size])
    return tree


def test_known_roots() -> None:
    """The test vectors of the Certificate Transparency reference implementation."""
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]
    tree = Frontier()
    assert tree.root() == EMPTY_ROOT
    for data, root in zip(inputs, roots, strict=True):
        tree.add_lines([bytes.fromhex(data)])
        assert tree.root().hex() == root


@pytest.mark.parametrize("size", range(70))
def test_a_growing_tree_has_the_root_of_the_definition(size: int) -> None:
    assert frontier(size).root() == tree_hash(LEAVES[:size])


@given(st.integers(1, 70), st.data())
def test_inclusion_proofs_hold_for_their_leaf_only(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    start = data.draw(st.integers(0, index))
    leaves = Leaves(frontier(start), HASHES[start:size])
    path = inclusion_proof(index, size, leaves.subtree)
    root = tree_hash(LEAVES[:size])
    assert root_by_inclusion(index, size, HASHES[index], path) == root
    assert root_by_inclusion(index, size, leaf_hash(b"another"), path) != root
    for wrong in ([*path, root], path[:-1]) if path else ([*path, root],):
        with pytest.raises(ValueError, match="too"):
            root_by_inclusion(index, size, HASHES[index], wrong)


@given(st.integers(0, 70), st.data())
def test_consistency_proofs_hold_for_their_roots_only(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(0, new))
    start = data.draw(st.integers(0, old))
    path = consistency_proof(old, new, Leaves(frontier(start), HASHES[start:new]).subtree)
    old_root, new_root = tree_hash(LEAVES[:old]), tree_hash(LEAVES[:new])
    assert check_consistency(old, old_root, new, new_root, path)
    other = tree_hash([b"x", *LEAVES[1:old]])
    assert not check_consistency(old, other, new, new_root, path)
    if old:  # every tree begins with nothing
        assert not check_consistency(old, old_root, new, other, path)
    assert not check_consistency(old, old_root, new, new_root, [*path, b"0" * 32])
    if path:
        assert not check_consistency(old, old_root, new, new_root, path[:-1])


def test_the_compiled_tree_grows_as_the_other_does() -> None:
    if tree_module._grow is None:
        assert not list(Path(tree_module.__file__).parent.glob("_tree*.so")), "built, and not usable"
        return
    for start in range(9):
        for count in (0, 1, 2, 7, 40):
            slow, fast = frontier(start), frontier(start)
            lines = [b"x" * number for number in range(count)]
            slow.add_lines(iter(lines))
            fast.add_lines(lines)
            assert fast == slow
    for wrong in ([b"x"], [b"x" * 32] * 2):
        with pytest.raises(ValueError, match="peak"):
            tree_module._grow(1, wrong, [b"line"])
    with pytest.raises(TypeError, match="must be bytes"):
        tree_module._grow(0, [], ["text"])  # type: ignore[list-item]


def test_what_is_not_known_is_said() -> None:
    leaves = Leaves(frontier(5), HASHES[5:9])
    with pytest.raises(LookupError, match="leaf 2"):
        inclusion_proof(3, 9, leaves.subtree)
    with pytest.raises(ValueError, match="has no leaf 9"):
        inclusion_proof(9, 9, leaves.subtree)
    with pytest.raises(ValueError, match="does not begin with 9"):
        consistency_proof(9, 5, leaves.subtree)
    assert not check_consistency(9, b"", 5, b"", [])


@pytest.mark.parametrize(("size", "peaks"), [(1, []), (0, [b"x" * 32]), (3, [b"x" * 32]), (1, [b"x"]), (-1, [])])
def test_a_frontier_that_cannot_be_is_refused(size: int, peaks: list[bytes]) -> None:
    with pytest.raises(ValueError, match="not the frontier"):
        Frontier(size, peaks)
