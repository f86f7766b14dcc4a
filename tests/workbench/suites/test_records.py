import json

import pytest
import torch
from mmengine.config import Config

from pd_mmdet.workbench.stages.stage import Stage
from pd_mmdet.workbench.suites.records import (
    check_results,
    coverage,
    enlarge,
    read_results,
    record,
    write_results,
)
from pd_mmdet.workbench.suites.runs import Run


@pytest.mark.parametrize(
    'info, share',
    [
        ({'prior_coverage/detector': 0.9}, 0.9),
        ({'prior_coverage/teacher': 0.9, 'prior_coverage/student': 0.0}, 0.0),
        ({'prior_coverage/teacher': 0.9}, None),
        ({}, None),
    ],
)
def test_coverage_is_that_of_the_trained_detector(tmp_path, info, share):
    hub = dict(log_scalars={}, runtime_info=info, resumed_keys={})
    torch.save(dict(meta={}, state_dict={}, message_hub=hub), tmp_path / 'some.pth')
    assert coverage(tmp_path / 'some.pth') == share


@pytest.mark.parametrize(
    'options, u',
    [
        (dict(views=['lr']), 1),
        (dict(views=['lr'], enlarge=2), 2),
        (dict(views=['lr'], enlarge='4/3'), 4 / 3),
        (dict(views=['hr'], enlarge=2), 1),  # the assistant reads the large image as it is
        (None, 1),
    ],
)
def test_how_much_a_network_enlarges_the_file(options, u):
    low = [] if options is None else [dict(type='LowResolution', ratio=4, **options)]
    dataset = dict(type='CocoDataset', pipeline=[*low, dict(type='PackDetInputs')])
    assert enlarge(Config(dict(val_dataloader=dict(dataset=dataset)))) == pytest.approx(u)


def test_a_checkpoint_without_a_message_hub(tmp_path):
    torch.save(dict(meta={}, state_dict={}), tmp_path / 'some.pth')
    assert coverage(tmp_path / 'some.pth') is None


def test_recipes_that_share_a_training_have_each_its_record(tmp_path):
    checkpoint, kept = tmp_path / 'iter_4.pth', tmp_path / 'record.json'
    for file, text in {checkpoint: '', kept: json.dumps(made('teacher', 1, 0.5))}.items():
        file.write_text(text)
    stage = Stage('teacher', Config(), tmp_path, given=checkpoint)
    assert record(Run('a', 'teacher', 1, stage)) == made('teacher', 1, 0.5)
    assert record(Run('b', 'teacher', 1, stage)) == made('teacher', 1, 0.5) | dict(recipe='b')


def made(row: str, seed: int, ap: float) -> dict:
    return dict(recipe='a', row=row, seed=seed, bbox_mAP=ap)


def test_a_run_takes_the_place_of_its_older_record(tmp_path):
    file = tmp_path / 'new' / 'results.json'
    write_results(file, 'few', made('ours', 1, 0.1))
    write_results(file, 'few', made('ours', 2, 0.2))
    write_results(file, 'few', made('ours', 1, 0.3))
    content = read_results(file)
    assert content['suite'] == 'few' and content['command'].startswith('python ')
    assert content['runs'] == [made('ours', 2, 0.2), made('ours', 1, 0.3)]
    assert [path.name for path in file.parent.iterdir()] == ['results.json']


def test_results_of_another_suite_stay(tmp_path):
    file = tmp_path / 'results.json'
    file.write_text(json.dumps(dict(suite='other', runs=[])))
    for call in (lambda: check_results(file, 'few'), lambda: write_results(file, 'few', {})):
        with pytest.raises(ValueError, match="holds results of 'other', not of 'few'"):
            call()
    assert read_results(file)['suite'] == 'other'
    check_results(tmp_path / 'none.json', 'few')
