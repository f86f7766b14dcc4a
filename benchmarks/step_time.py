"""Measure the overhead of distillation: the training step of a distiller over its necessary parts.

All times are medians of interleaved repetitions on real batches, in one run:

- (a) the training step of the student alone, on its view;
- (b) the forward pass of the teacher up to the last tap, by direct calls of its modules; its RoI
  head runs on the RoIs that the student has sampled;
- (c) the training step of the distiller;
- (d) the same in the memory format of ``ChannelsLastHook``;
- (e) the same as (d), with the teacher alone in bfloat16 (``teacher.dtype``).

The overhead is c/(a+b); it cannot be below 1. The config's default_scope decides between detectors
and classifiers. This also measures the time to load an item with both views, over the time to load
its large image alone. On a GPU it measures the memory that steps (a) and (c) take, too.

The number of boxes that are compared depends on the confidence of the teacher. By default the heads
are initialised as for training: then a dense head with sigmoid scores is confident nowhere, and an
RPN everywhere. With --trained, student and teacher have the weights of the checkpoints that the
config names.
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
from pd_mmdet.distillers.distiller import Distiller
from pd_mmdet.distillers.roi_head_taps import ROI_TAP, DetTaps, run_roi_head
from pd_mmdet.distillers.teacher import plain_model_cfg, student_part
from pd_mmdet.distillers.terms.base import TeacherTerm
from pd_mmdet.mixin import with_preprocessor
from pd_mmdet.workbench.configs import Place, replace
from pd_mmdet.workbench.costs.memory import MEGABYTE
from pd_mmdet.workbench.costs.speed import medians
from pd_mmdet.workbench.deployed_data import PACKING, without_views
from pd_mmdet.workbench.load_config import load_config
from pd_mmdet.workbench.tasks import task_of

RECIPE = Path(__file__).parents[1] / 'configs/retinanet/retinanet_r34-r18_glyphs_k2/student.py'
BATCHES = 4
ITEMS = 300


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', nargs='?', default=RECIPE, help='config of a distiller')
    parser.add_argument(
        '--steps', type=int, default=30, help='repetitions of each measurement (default: 30)'
    )
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--amp', action='store_true', help='use automatic mixed precision')
    parser.add_argument(
        '--trained', action='store_true', help='load the checkpoints that the config names'
    )
    parser.add_argument('--out', type=Path, help='also write the numbers to this JSON file')
    return parser.parse_args()


def optimiser(model: BaseModel, cfg: Config, amp: bool) -> OptimWrapper:
    """Build the optimiser of a config with learning rate 0, so that all steps do the same work."""
    wrapper = deepcopy(cfg.optim_wrapper)
    if amp:
        wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    wrapper = build_optim_wrapper(model, wrapper)
    for group in wrapper.param_groups:
        group['lr'] = 0.0
    return wrapper


def forward_of_teacher(distiller: BaseModel) -> Callable[[torch.Tensor, list], object]:
    """Return a function that runs the teacher's modules up to the last tap.

    The function takes the teacher's images (N, C, H, W), and the RoIs of :func:`rois_of_teacher`.
    """
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

    if 'head' in read:  # a classifier
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
    """Return the RoIs of the teacher's RoI head in a training step: (index of the stage, RoIs)."""
    model = distiller.teacher.model
    if getattr(model, 'roi_head', None) is None:
        return []
    with DetTaps(model, [ROI_TAP]) as taps:
        distiller(**distiller.data_preprocessor(batch, True), mode='loss')
    return [(output.stage, output.rois) for output in taps.outputs.get(ROI_TAP, [])]


def set_weights(student: BaseModel, distiller: BaseModel, load_from: str | None) -> None:
    """Load the weights of student and teacher, or initialise their heads as for training.

    Args:
        student: The student alone.
        distiller: The distiller.
        load_from: Checkpoint of the student; None: initialise the heads.
    """
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
    """Return a batch with the images of one view only."""
    if not isinstance(batch['inputs'], dict):
        return batch
    return dict(batch, inputs=batch['inputs'][view])


def time_steps(cfg: Config, batches: list[dict], args: argparse.Namespace) -> dict[str, float]:
    """Measure the median seconds of (a), (b), (c) and (d), and on a GPU, MB of (a) and (c)."""
    model_cfg = with_preprocessor(cfg.model, cfg.get('data_preprocessor'))

    def build(model: dict) -> BaseModel:
        return task_of(cfg).models.build(deepcopy(model)).to(args.device).train()

    student, distiller = build(plain_model_cfg(model_cfg)), build(model_cfg)
    channels_last = build(model_cfg)
    teacher, forward = distiller.teacher, forward_of_teacher(distiller)
    for model in (distiller, channels_last):
        set_weights(student, model, cfg.load_from if args.trained else None)
        model.teacher.model.to(args.device)  # tell its data preprocessor the device
    channels_last.to(memory_format=torch.channels_last)
    wrappers = {
        model: optimiser(model, cfg, args.amp) for model in (student, distiller, channels_last)
    }

    def step(model: BaseModel, batch: dict, teacher_dtype: str | None = None) -> None:
        if isinstance(model, Distiller):
            model.teacher.dtype = teacher_dtype
        model.train_step(batch, wrappers[model])

    @torch.no_grad()
    def infer(images: torch.Tensor, rois: list) -> None:
        with autocast(args.device, enabled=args.amp):
            forward(images, rois)

    def batch(number: int) -> dict:
        return batches[number % len(batches)]

    prepare = teacher.model.data_preprocessor
    teacher_inputs = [
        (prepare(of_view(batch, teacher.view), True)['inputs'], rois_of_teacher(distiller, batch))
        for batch in batches
    ]
    calls = dict(
        a=lambda number: step(student, of_view(batch(number), distiller.view)),
        b=lambda number: infer(*teacher_inputs[number % len(teacher_inputs)]),
        c=lambda number: step(distiller, batch(number)),
        d=lambda number: step(channels_last, batch(number)),
        e=lambda number: step(channels_last, batch(number), 'bfloat16'),
    )
    numbers = medians(calls, args.steps, args.device)
    if args.device == 'cuda':
        numbers |= {f'memory_{name}': peak_memory(calls[name]) for name in 'ac'}
    return numbers


def peak_memory(call: Callable[[int], object]) -> float:
    """Measure what a step allocates on the GPU at most, beside all models, in MB."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call(0)
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / MEGABYTE


def packing_one_view(_: Place, value: Any) -> Any:
    """Change the config of a transform that packs two views to one that packs one view.

    Returns:
        The changed config; any other value unchanged.
    """
    if isinstance(value, dict) and value.get('type') in PACKING:
        return value | dict(type=PACKING[value['type']])
    return value


def time_pipelines(cfg: Config) -> dict[str, float]:
    """Measure the median seconds to load an item with both views, and with its large image."""
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
    numbers['channels_last'] = numbers['d'] / numbers['c']
    numbers['teacher_bfloat16'] = numbers['e'] / numbers['d']
    numbers |= time_pipelines(cfg)
    numbers['pipelines'] = numbers['paired'] / numbers['plain']
    print(f'a, training step of the student alone: {1e3 * numbers["a"]:.2f} ms')
    print(f'b, forward pass of the teacher:        {1e3 * numbers["b"]:.2f} ms')
    print(f'c, training step of the distiller:     {1e3 * numbers["c"]:.2f} ms')
    print(f'd, the same in channels_last:          {1e3 * numbers["d"]:.2f} ms')
    print(f'e, d with the teacher in bfloat16:     {1e3 * numbers["e"]:.2f} ms')
    print(f'channels_last d/c = {numbers["channels_last"]:.2f}')
    print(f'teacher in bfloat16 e/d = {numbers["teacher_bfloat16"]:.2f}')
    if args.device == 'cuda':
        print(f'memory of a and c: {numbers["memory_a"]:.0f} MB, {numbers["memory_c"]:.0f} MB')
    print(f'paired pipeline / plain pipeline = {numbers["pipelines"]:.2f}')
    print(f'overhead c/(a+b) = {numbers["overhead"]:.2f}')
    if args.out:
        args.out.write_text(json.dumps(describe(args, scope, numbers), indent=2) + '\n')


if __name__ == '__main__':
    main()
