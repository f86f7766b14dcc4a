"""A suite and its records for tests."""

from dataclasses import replace
from pathlib import Path

from pd_mmdet.workbench.suites.suite import Part, Row, Suite

PART = Part('RetinaNet', Path('recipe'), ('ceiling', 'baseline', 'baseline_long', 'ours', 'pkd'))
SUITE = Suite(
    name='few',
    title='A few',
    seeds=(1, 2),
    rows={name: Row('baseline', f'the {name}') for name in PART.rows},
    parts=(PART,),
    options={},
)


def with_row(name: str) -> tuple[Suite, Part]:
    """The suite with one more row, and its part."""
    part = replace(PART, rows=(*PART.rows, name))
    rows = SUITE.rows | {name: Row('baseline', f'the {name}')}
    return replace(SUITE, rows=rows, parts=(part,)), part


def records(**rows: list[float]) -> list[dict]:
    """Records of rows with these AP, one a seed."""
    return [
        dict(
            recipe='recipe',
            row=row,
            seed=seed,
            view='hr' if row == 'ceiling' else 'lr',
            image_side=[80, 60],
            coverage=0.954,
            iterations=400,
            flops=4e9 if row == 'ceiling' else 1e9,
            bbox_mAP=ap,
            bbox_mAP_50=0.9,
            bbox_mAP_75=0.5,
            bbox_mAP_s=-1,
            bbox_mAP_m=0.4,
            bbox_mAP_l=0.6,
        )
        for row, values in rows.items()
        for seed, ap in enumerate(values, 1)
    ]


def two_sets(**rows: list[tuple[float, float]]) -> list[dict]:
    """Records of rows with these AP on the sets day and night, one a seed."""
    plain = records(**{row: [day for day, _ in values] for row, values in rows.items()})
    nights = [night for values in rows.values() for _, night in values]
    made = []
    for one, night in zip(plain, nights):
        known = {key: value for key, value in one.items() if not key.startswith('bbox_')}
        made.append(known | {'day/bbox_mAP': one['bbox_mAP'], 'night/bbox_mAP': night})
    return made
