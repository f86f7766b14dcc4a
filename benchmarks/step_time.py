"""What distillation costs: a distiller's training step beside what it cannot do without.

In one run, from medians of interleaved repetitions on real batches: (a) the training step of the
student alone on its view; (b) the teacher's forward pass up to the places that the terms read,
by plain calls of its modules, its RoI head on the RoIs that the student has sampled; (c) the
distiller's training step. 1 is the least c/(a+b) could be. Detectors and classifiers are told by
the config's default_scope.
Also the time to load an item with both views over that to load its large image alone.

What a teacher is confident of decides how many boxes are compared. So the heads are initialised as
for training, where a dense head with sigmoid scores finds nothing and an RPN everything; or, with
--trained, the teacher and the student are those of the checkpoints that the config names.
"""

import argparse
import json
import platform
import random
import sys
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import mmcv
import mmengine
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, autocast

import pd_mmdet
from pd_mmdet.checkpoint import load_data
from pd_mmdet.distillers.roi_head_taps import ROI_TAP, DetTaps, run_roi_head
from pd_mmdet.distillers.teacher import plain_model_cfg, student_part
from pd_mmdet.distillers.terms.base import TeacherTerm
from pd_mmdet.mixin import with_preprocessor
from pd_mmdet.workbench.configs import Place, replace
from pd_mmdet.workbench.costs.speed import medians
from pd_mmdet.workbench.deployed_data import PACKING, without_views
from pd_mmdet.workbench.load_config import load_config
from pd_mmdet.workbench.tasks import task_of

RECIPE = Path(__file__).parents[1] / 'configs/retinanet/retinanet_r34-r18_glyphs_k2/student.py'
BATCHES = 4
ITEMS = 300


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', nargs='?', default=RECIPE, help="config of a distiller's stage")
    parser.add_argument('--steps', type=int, default=30, help='repetitions of each (default: 30)')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument('--trained', action='store_true', help="the config's checkpoints")
    parser.add_argument('--out', type=Path, help='also write the numbers to this JSON file')
    return parser.parse_args()


def optimiser(model: BaseModel, cfg: Config, amp: bool) -> OptimWrapper:
    """As the config says, but the weights stay: all steps do the same work."""
    wrapper = deepcopy(cfg.optim_wrapper)
    if amp:
        wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    wrapper = build_optim_wrapper(model, wrapper)
    for group in wrapper.param_groups:
        group['lr'] = 0.0
    return wrapper


def forward_of_teacher(distiller: BaseModel) -> Callable[[torch.Tensor, list], object]:
    """The teacher's own calls up to the last place that a term reads; its RoIs are given."""
    terms = distiller.distill.values()
    paths = [term.teacher.path for term in terms if isinstance(term, TeacherTerm)]
    read = {path.split('.')[0] for path in paths}
    model = distiller.teacher.model

    def heads(images: torch.Tensor, rois: list) -> None:
        feats = model.extract_feat(images)
        for name in {'bbox_head', 'rpn_head'} & read:
            getattr(model, name)(feats)
        if 'roi_head' in read:
            run_roi_head(model.roi_head, feats, rois)

    if 'head' in read:  # of a classifier
        return lambda images, rois: model(images)
    if not read <= {'backbone', 'neck'}:
        return heads
    if 'neck.afp' in paths:
        return lambda images, rois: model.extract_feat(images)
    if 'neck' in read:
        return lambda images, rois: model.neck(model.backbone(images))
    return lambda images, rois: model.backbone(images)


@torch.no_grad()
def rois_of_teacher(distiller: BaseModel, batch: dict) -> list[tuple[int, torch.Tensor]]:
    """What the teacher's RoI head judges in a training step: stages and their RoIs."""
    model = distiller.teacher.model
    if getattr(model, 'roi_head', None) is None:
        return []
    with DetTaps(model, [ROI_TAP]) as taps:
        distiller(**distiller.data_preprocessor(batch, True), mode='loss')
    return [(judged.stage, judged.rois) for judged in taps.outputs.get(ROI_TAP, [])]


def set_weights(student: BaseModel, distiller: BaseModel, load_from: str | None) -> None:
    """Those of checkpoints, or else initialise the heads as for training."""
    if load_from:
        weights = student_part(load_data(load_from))
        student.load_state_dict(weights)
        distiller.load_state_dict(weights, strict=False)
        distiller.teacher.load()
        return
    for model in (student, distiller, distiller.teacher.model):
        for name in ('bbox_head', 'rpn_head', 'roi_head'):
            if getattr(model, name, None) is not None:
                getattr(model, name).init_weights()


def of_view(batch: dict, view: str) -> dict:
    """A batch as a pipeline of this view alone would have made it."""
    if not isinstance(batch['inputs'], dict):
        return batch
    return {key: value[view] for key, value in batch.items()}


def time_steps(cfg: Config, batches: list[dict], args: argparse.Namespace) -> dict[str, float]:
    """Median seconds of (a), (b) and (c)."""
    models = task_of(cfg).models
    model_cfg = with_preprocessor(cfg.model, cfg.get('data_preprocessor'))
    student = models.build(deepcopy(plain_model_cfg(model_cfg))).to(args.device).train()
    distiller = models.build(deepcopy(model_cfg)).to(args.device).train()
    teacher, forward = distiller.teacher, forward_of_teacher(distiller)
    set_weights(student, distiller, cfg.load_from if args.trained else None)
    teacher.model.to(args.device)  # its preprocessor, too, must know
    wrappers = {model: optimiser(model, cfg, args.amp) for model in (student, distiller)}

    def step(model: BaseModel, batch: dict) -> None:
        model.train_step(batch, wrappers[model])

    @torch.no_grad()
    def infer(images: torch.Tensor, rois: list) -> None:
        with autocast(args.device, enabled=args.amp):
            forward(images, rois)

    def batch(number: int) -> dict:
        return batches[number % len(batches)]

    prepare = teacher.model.data_preprocessor
    given = [
        (prepare(of_view(batch, teacher.view), True)['inputs'], rois_of_teacher(distiller, batch))
        for batch in batches
    ]
    calls = dict(
        a=lambda number: step(student, of_view(batch(number), distiller.view)),
        b=lambda number: infer(*given[number % len(given)]),
        c=lambda number: step(distiller, batch(number)),
    )
    return medians(calls, args.steps, args.device)


def packing_one_view(_: Place, value: Any) -> Any:
    """A transform's config that packs one view instead of two; anything else stays."""
    if isinstance(value, dict) and value.get('type') in PACKING:
        return value | dict(type=PACKING[value['type']])
    return value


def time_pipelines(cfg: Config) -> dict[str, float]:
    """Median seconds to load an item with both views, and with its large image alone."""
    paired = cfg.train_dataloader.dataset
    build = task_of(cfg).datasets.build
    datasets = dict(
        paired=build(paired), plain=build(replace(without_views(paired), packing_one_view))
    )

    def load(name: str, number: int) -> None:
        random.seed(number)
        np.random.seed(number % 2**32)
        datasets[name][number % len(datasets[name])]

    calls = {name: lambda number, name=name: load(name, number) for name in datasets}
    return medians(calls, ITEMS)


def describe(args: argparse.Namespace, scope: str, numbers: dict[str, float]) -> dict:
    name = platform.processor() or platform.machine()
    if args.device == 'cuda':
        name = torch.cuda.get_device_name()
    modules = (torch, mmengine, mmcv, import_module(scope), pd_mmdet)
    return dict(
        command=' '.join(['python', *sys.argv]),
        device=f'{name}, {torch.get_num_threads()} threads',
        date=datetime.now(timezone.utc).isoformat(timespec='seconds'),
        versions={module.__name__: module.__version__ for module in modules},
        numbers=numbers,
    )


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, splits=['train'])
    scope = task_of(cfg).scope
    init_default_scope(scope)
    loader = dict(cfg.train_dataloader, num_workers=0, persistent_workers=False)
    batches = [batch for batch, _ in zip(Runner.build_dataloader(loader, seed=0), range(BATCHES))]
    numbers = time_steps(cfg, batches, args)
    numbers['overhead'] = numbers['c'] / (numbers['a'] + numbers['b'])
    numbers |= time_pipelines(cfg)
    numbers['pipelines'] = numbers['paired'] / numbers['plain']
    print(f'a, training step of the student alone: {1e3 * numbers["a"]:.2f} ms')
    print(f'b, forward pass of the teacher:        {1e3 * numbers["b"]:.2f} ms')
    print(f'c, training step of the distiller:     {1e3 * numbers["c"]:.2f} ms')
    print(f'paired pipeline / plain pipeline = {numbers["pipelines"]:.2f}')
    print(f'overhead c/(a+b) = {numbers["overhead"]:.2f}')
    if args.out:
        args.out.write_text(json.dumps(describe(args, scope, numbers), indent=2) + '\n')


if __name__ == '__main__':
    main()
