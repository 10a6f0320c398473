# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""
Every setting, once: name, type, default, range or choices, unit and a short text.

ROS parameters, command-line options, the shipped YAML and the table of docs/parameters.md all come from here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import logging
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .errors import SettingsError, masked
from .resources import data_path, read_file

__all__ = ['BOOLEANS', 'LEAST_TO_HIDE', 'LOOKS', 'SHOWS_PEOPLE', 'TUNABLES', 'Settings', 'Tunable', 'imply_type', 'load_yaml',
           'look_file', 'names_node', 'no_section_for', 'read_yaml', 'unknown_name']

BOOLEANS = {**dict.fromkeys(('true', '1', 'on', 'yes'), True), **dict.fromkeys(('false', '0', 'off', 'no'), False)}
LOOKS = ('tutorial', 'default', 'meeting', 'privacy', 'cutout', 'robot')  # presets, each a file
_GROUPS = ('background', 'camera', 'depth', 'edge', 'mask', 'people', 'privacy', 'roi', 'temporal')
_ROS_KEY = 'ros__parameters'
_NODES = ('**', '*', 'segmentation')
_OF_ROS = ('use_sim_time', 'start_type_description_service')  # parameters that ROS declares for every node
_LARGEST_YAML = 128 << 10  # bytes; config/segmentation.yaml has 5 kB
_MOST_NAMES = 1000  # in a YAML
_LONGEST = 500  # characters of a value in a message
_MOST_LISTED = 5  # names in a message
_NEAREST = 3  # known names in the message for an unknown one
_NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?', re.ASCII)
_COLOR = re.compile(r'\s*[\[(]?\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*[\])]?\s*', re.ASCII)
_HEX_COLOR = re.compile(r'\s*#([0-9a-fA-F]{6})\s*', re.ASCII)
_LOGGER = logging.getLogger('self_segmentation.settings')
Value = bool | int | float | str | tuple[int, ...]
LEAST_TO_HIDE = 0.15  # fraction of the frame's height: a face that fills the frame has 7 cells, a far one less than one
_FOREIGN = ('image', 'video', 'topic')  # types before which the old background shows most at the edge
SHOWS_PEOPLE = ('none', 'topic')  # types that may show the people that replace = people hides
_HIDING = ('replace', ('people',))
_OF_FRAME = "fraction of the frame's height"
_GUIDED, _BILATERALS = ('edge.filter', ('guided',)), ('edge.filter', ('bilateral', 'joint_bilateral'))


@dataclasses.dataclass(frozen=True)
class Tunable:
    """
    One setting.

    ``name`` is the dotted ROS parameter name, ``attribute`` the field of :class:`Settings`. The type is that of ``default``; a
    tuple is a colour, three integers red, green, blue in 0..255. ``node``: only the ROS node has it. ``read_only``: it is fixed
    when the node starts. ``fallback`` replaces a wrong value at start-up; by default that is ``default``. ``step`` lies between
    two allowed whole numbers. ``file`` is ``read`` or ``written`` if the value is a path. ``acts_with`` is the name of another
    setting and its values with which this one has an effect.
    """

    name: str
    attribute: str
    default: Value
    text: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    step: int = 1
    choices: tuple[str, ...] = ()
    node: bool = False
    read_only: bool = False
    fallback: Value | None = None
    file: str = ''
    acts_with: tuple[str, tuple[Value, ...]] | None = None

    @property
    def allowed(self) -> str:
        """What may be given, in words."""
        if self.choices:
            return ', '.join(self.choices)
        if isinstance(self.default, bool):
            return 'true or false'
        if isinstance(self.default, tuple):
            return 'three whole numbers red, green, blue, each from 0 to 255'
        if isinstance(self.default, str):
            return 'text'
        number = 'a whole number' if isinstance(self.default, int) else 'a number'
        return '{} from {:g} to {:g}'.format(number, *self.limits) + (f' in steps of {self.step}' if self.step > 1 else '')

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest allowed number."""
        return -math.inf if self.minimum is None else self.minimum, math.inf if self.maximum is None else self.maximum

    def checked(self, value: Any, origin: str = '') -> Value:
        """
        Return ``value`` in the tunable's own type.

        A float may be an integer, or a text such as 3e-05, which YAML does not read as a number. A colour is a sequence of three
        integers, or a text: ``0,128,0``, ``[0, 128, 0]`` or ``#008000``.

        :raises ValueError: naming the value, its origin and what is allowed.
        """
        kind = type(self.default)
        fitting: Value = value
        is_number = type(value) is int and self._is_within_limits(value)  # so it fits into a float
        if kind is float and (is_number or (isinstance(value, str) and _NUMBER.fullmatch(value))):
            fitting = float(value)
        elif kind is tuple and isinstance(value, str):
            fitting = _color(value)
        elif kind is tuple and isinstance(value, Sequence):
            fitting = tuple(value)
        if not self._fits(fitting):
            where = f' (from {origin})' if origin else ''
            hint = ', as 0,128,0 or #008000' if kind is tuple else ''
            if kind is tuple and value is None:
                hint += '; in YAML, # begins a comment without quotes: "#008000"'
            raise ValueError(f'{self.name} = {_shown(value)}{where} is not allowed: it takes {self.allowed}{hint}')
        return fitting

    def from_text(self, text: str, origin: str = '') -> Value:
        """
        Return the value that a text stands for.

        :raises ValueError: naming the text, its origin and what is allowed.
        """
        kind: type = type(self.default)
        value: Any = text
        if kind is bool:
            value = BOOLEANS.get(text.lower(), text)
        elif kind is not tuple:
            with contextlib.suppress(ValueError):  # the message shows the text itself
                value = kind(text)
        return self.checked(value, origin)

    def _fits(self, value: Any) -> bool:
        if type(value) is not type(self.default):
            return False
        if self.choices:
            return value in self.choices
        if isinstance(value, tuple):
            return len(value) == 3 and all(type(item) is int and 0 <= item <= 255 for item in value)
        if isinstance(value, (bool, str)):
            return True
        return self._is_within_limits(value) and (self.step == 1 or (value - self.limits[0]) % self.step == 0)

    def _is_within_limits(self, value: float) -> bool:
        least, greatest = self.limits
        return least <= value <= greatest


def _color(text: str) -> Value:
    """Return the three numbers of a colour's text, or a text that is no colour."""
    if found := _HEX_COLOR.fullmatch(text):
        return tuple(bytes.fromhex(found[1]))
    found = _COLOR.fullmatch(text)
    return tuple(map(int, found.groups())) if found else text


def _shown(value: Any) -> str:
    """Return a value for a message; of a very long one only its ends."""
    try:
        text = masked(repr(value))
    except ValueError:  # Python prints no integer of more than 4300 digits
        text = 'a number of very many digits'
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST // 2]} ... {text[-_LONGEST // 2:]}'


def _tunable(default: Value, text: str, limits: tuple[float, float] | None = None, unit: str = '', **more: Any) -> Any:
    minimum, maximum = limits or (None, None)
    more |= {'text': text, 'unit': unit, 'minimum': minimum, 'maximum': maximum}
    return dataclasses.field(default=default, metadata=more)


@dataclasses.dataclass(frozen=True)
class Settings:
    """
    All settings of the pipeline; immutable.

    :raises SettingsError: naming every wrong value and what is allowed, or values that exclude each other.
    """

    model: str = _tunable('general', 'Segmentation model: general (256x256), landscape (256x144, faster), or the path of a '
                                     'selfie segmentation .tflite file.', file='read')
    runtime: str = _tunable('auto', 'Library that runs the models. auto: LiteRT, or MediaPipe where LiteRT cannot be used.',
                            choices=('auto', 'litert', 'mediapipe'), read_only=True)
    flip: bool = _tunable(True, 'Mirror the picture left to right.')
    threshold: float = _tunable(0.5, 'Pixels with a higher probability are people. Smaller values keep more of the edge.',
                                (0.0, 1.0), 'probability')
    softness: float = _tunable(0.5, 'Width of the soft edge around the threshold: 0 cuts hard, 1 uses every probability.',
                               (0.0, 1.0))
    replace: str = _tunable('background', 'What to replace: background keeps people, people hides them.',
                            choices=('background', 'people'), fallback='people')
    image_transport: str = _tunable('raw', 'Camera images: raw (sensor_msgs/Image on image_raw) or compressed (JPEG or PNG, '
                                           'sensor_msgs/CompressedImage on image_raw/compressed).',
                                    choices=('raw', 'compressed'), node=True)
    mask_values: str = _tunable('binary', 'Values of ~/mask: binary (0, 255), class (0 background, 1 person) or instance (0 '
                                          'background, else the id of the person modulo 254, plus 1).',
                                choices=('binary', 'class', 'instance'), node=True)
    mask_width: int = _tunable(0, 'Width of ~/mask and ~/confidence; 0: that of the picture.', (0, 8192), 'pixels', node=True)
    mask_always: bool = _tunable(False, 'Publish a mask also for a frame that cannot be used: empty, or full where people are '
                                        'hidden.', node=True)
    depth_slop: float = _tunable(0.03, 'Largest difference of the stamps of a depth image and its camera image.', (0.0, 1.0),
                                 'seconds', node=True)
    depth_margin: int = _tunable(3, "Border at people's edges without depth in both depth images.", (0, 50),
                                 'pixels of the depth image', node=True)
    tf: bool = _tunable(False, 'Publish a TF frame person_ID for each person whose depth is known.', node=True)
    jpeg_quality: int = _tunable(90, 'JPEG quality of ~/output/compressed.', (1, 100), node=True)
    autostart: bool = _tunable(True, 'Configure and activate the node at its start. false: a lifecycle manager does it.',
                               node=True, read_only=True)
    save_dir: str = _tunable('~/self_segmentation', 'Folder for the PNG files of ~/save.', node=True, file='written')
    camera_rotation: int = _tunable(0, 'Turn the picture and all results clockwise; 180 for a camera that hangs upside down.',
                                    (0, 270), 'degrees', step=90)
    people_detector: bool = _tunable(True, 'Find people with a person detector and segment only where they are. false: segment '
                                           'the full frame, as in the MediaPipe tutorial.')
    people_score: float = _tunable(0.25, 'Detections with a lower score are checked again on an enlarged crop.', (0.08, 0.95))
    people_interval: int = _tunable(4, 'Frames between detections while the image changes away from known people. Otherwise 8 '
                                       'times as many, or 15 times with people in view.', (2, 100), 'frames')
    people_who: str = _tunable('all', 'Which people count: all, the largest, or the one nearest to the middle of the frame. The '
                                      'others are background.', choices=('all', 'largest', 'central'))
    people_smallest: float = _tunable(0.03, 'Smallest height of a person who counts.', (0.0, 1.0), _OF_FRAME)
    people_most: int = _tunable(3, 'Most inferences of the segmentation model for a video frame. Where people stand in more '
                                   'places, the places take turns.', (1, 16))
    roi_margin: float = _tunable(0.15, 'Margin around a person in the region of interest.', (0.05, 0.5),
                                 "fraction of the person's longer side")
    temporal_smoothing: float = _tunable(0.7, 'Weight of the last mask where nothing moves; 0 is off.', (0.0, 0.95), 'weight')
    temporal_hysteresis: float = _tunable(0.25, 'How far a still pixel must pass the threshold to change sides; 0 is off.',
                                          (0.0, 0.4), 'probability')
    temporal_motion_threshold: float = _tunable(6.0, 'Changes between frames up to this are noise; from twice this on they are '
                                                     'motion.', (1.0, 64.0), 'grey levels')
    temporal_background_penalty: float = _tunable(0.45, 'Subtracted from the probability of a pixel that looks like the known '
                                                        'background; 0 is off.', (0.0, 1.0), 'probability')
    temporal_hold_time: float = _tunable(1.5, 'How long a person stays after the model lost them, while something stands before '
                                              'the known background; 0 is off.', (0.0, 10.0), 'seconds')
    edge_filter: str = _tunable('guided', 'Smooths the edge of the mask; guided and joint_bilateral follow edges of the picture.',
                                choices=('none', 'guided', 'bilateral', 'joint_bilateral'))
    edge_radius: int = _tunable(1, 'Radius of the guided filter.', (1, 8), "steps of 4 pixels of the model's map",
                                acts_with=_GUIDED)
    edge_epsilon: float = _tunable(1.4, 'Regularisation of the guided filter: fainter edges of the image do not hold the edge of '
                                        'the mask.', (0.25, 80.0), 'grey levels', acts_with=_GUIDED)
    edge_diameter: int = _tunable(9, 'Diameter of the bilateral filters.', (1, 49), 'pixels of the frame', acts_with=_BILATERALS)
    edge_sigma_space: float = _tunable(4.0, 'Standard deviation of the bilateral filters in space.', (0.1, 200.0),
                                       'pixels of the frame', acts_with=_BILATERALS)
    edge_sigma_mask: float = _tunable(0.1, 'How much pixels may differ in the mask and still be smoothed together (bilateral).',
                                      (0.001, 1000.0), 'probability', acts_with=('edge.filter', ('bilateral',)))
    edge_sigma_color: float = _tunable(12.0, 'How much pixels may differ in the picture and still be smoothed together '
                                             '(joint_bilateral).', (0.1, 1000.0), 'grey levels',
                                       acts_with=('edge.filter', ('joint_bilateral',)))
    edge_preset: bool = _tunable(True, 'Act as if edge.decontaminate were 1 where it is 0 and the background is an image, a '
                                       'video or a topic.')
    edge_decontaminate: float = _tunable(0.0, 'How much of the old background is removed from the colours of the edge; 0 is off.',
                                         (0.0, 1.0))
    edge_light_wrap: float = _tunable(0.0, 'How much light of the new background falls on the edge; 0 is off.', (0.0, 1.0))
    background_type: str = _tunable('color', 'What replaces the background, or people.', choices=(
        'color', 'image', 'blur', 'pixelate', 'video', 'topic', 'transparent', 'clean_plate', 'none'))
    background_color: tuple[int, ...] = _tunable((192, 192, 192), 'Colour of the background, of the bars with background.fit '
                                                                  'contain, and of places without another colour yet.',
                                                 unit='red, green, blue')
    background_image: str = _tunable('', 'Path of the image for background.type image; an animated GIF or WebP plays.',
                                     file='read', acts_with=('background.type', ('image',)))
    background_video: str = _tunable('', 'Path of the video for background.type video; it is repeated.', file='read',
                                     acts_with=('background.type', ('video',)))
    background_fit: str = _tunable('cover', 'How image, video and topic fill the frame: cover crops, contain shows all, stretch '
                                            'distorts, tile repeats them at their own size.',
                                   choices=('cover', 'contain', 'stretch', 'tile'), acts_with=('background.type', _FOREIGN))
    background_blur: float = _tunable(0.025, f'Standard deviation of blur; at least {LEAST_TO_HIDE} where people are replaced.',
                                      (0.002, 0.5), _OF_FRAME, acts_with=('background.type', ('blur',)))
    background_cell: float = _tunable(0.04, f'Side of a cell of pixelate; at least {LEAST_TO_HIDE} where people are replaced.',
                                      (0.005, 1.0), _OF_FRAME, acts_with=('background.type', ('pixelate',)))
    privacy_margin: float = _tunable(0.03, 'Margin that is covered around people who are replaced.', (0.0, 0.5),
                                     "fraction of the person's height", acts_with=_HIDING)
    privacy_proof: float = _tunable(30.0, 'Where people are replaced, something new or an unknown place stays covered this long '
                                          'without motion. Then the detector may prove that it is nobody.',
                                    (5.0, 600.0), 'seconds', acts_with=_HIDING)
    privacy_hold: float = _tunable(0.5, 'How long a place stays covered after a person who is replaced was last seen there.',
                                   (0.0, 10.0), 'seconds', acts_with=_HIDING)
    privacy_before: float = _tunable(1.0, 'How long a place is covered before a person is found there, where people are replaced '
                                          'in a video file or a recording; 0 is off.', (0.0, 10.0), 'seconds', acts_with=_HIDING)
    privacy_delay: float = _tunable(0.0, 'As privacy.before, for the node: it publishes each frame this much later; 0 is off.',
                                    (0.0, 3.0), 'seconds', node=True, acts_with=_HIDING)

    @property
    def hides_people(self) -> bool:
        """Whether people are replaced, and not the background."""
        return self.replace == 'people'

    def __post_init__(self) -> None:
        problems = {}
        for tunable in TUNABLES.values():
            try:
                object.__setattr__(self, tunable.attribute, tunable.checked(getattr(self, tunable.attribute)))
            except ValueError as error:
                problems[tunable.name] = str(error)
        problems = problems or dict(self._conflicts())
        if problems:
            raise SettingsError(problems)

    def _conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield values that exclude each other: the setting to change, and the reason."""
        for kind, file in (('image', 'an image'), ('video', 'a video')):
            if self.background_type == kind and not getattr(self, f'background_{kind}'):
                yield 'background.type', f'background.type = {kind!r} needs background.{kind}, the path of {file}: set that first'
        if self.hides_people and self.background_type in SHOWS_PEOPLE:
            allowed = ', '.join(kind for kind in TUNABLES['background.type'].choices if kind not in SHOWS_PEOPLE)
            yield 'background.type', (f"background.type = {self.background_type!r} may show the people that replace = 'people' "
                                      f'hides: it takes {allowed}')
        if self.hides_people and not self.people_detector:
            yield 'people.detector', "people.detector = False is not allowed with replace = 'people': it takes true"

    @property
    def decontamination(self) -> float:
        """The ``edge.decontaminate`` in use, 0..1: it depends on ``edge.preset`` and the background."""
        has_preset = self.edge_preset and self.background_type in _FOREIGN
        return self.edge_decontaminate or float(has_preset)

    def updated(self, changes: Mapping[str, Any], origin: str = '') -> Settings:
        """
        Return new settings with ``changes``, a mapping of dotted names to values.

        :param origin: where the values came from, for the message.
        :raises SettingsError: an unknown name, or a value that is not allowed.
        """
        problems: dict[str, str] = {}
        fields: dict[str, Any] = {}
        for name, value in changes.items():
            tunable = TUNABLES.get(name)
            if tunable is None:
                problems[name] = unknown_name(name, origin)
                continue
            try:
                fields[tunable.attribute] = tunable.checked(value, origin)
            except ValueError as error:
                problems[name] = str(error)
        if problems:
            raise SettingsError(problems)
        return dataclasses.replace(self, **fields)

    def without_effect(self, names: Collection[str]) -> str:
        """Return why none of these settings has an effect with the others as they are; empty if one has."""
        reasons = []
        for name in names:
            acts_with = TUNABLES[name].acts_with
            if acts_with is None:
                return ''
            other, values = acts_with
            now = getattr(self, TUNABLES[other].attribute)
            if now in values:
                return ''
            reasons.append(f'{name} has no effect while {other} is {now}: set {other} to {" or ".join(map(str, values))}')
        return '; '.join(reasons)

    def items(self) -> Iterator[tuple[str, Value]]:
        """Iterate over the dotted names and their values."""
        return ((name, getattr(self, tunable.attribute)) for name, tunable in TUNABLES.items())


def look_file(look: str) -> Path:
    """Return the path of the YAML file of one of :data:`LOOKS`."""
    return data_path('config', 'segmentation.yaml' if look == 'default' else f'{look}.yaml')


def imply_type(values: dict[str, Any]) -> None:
    """Set ``background.type`` where only the file of a background is given."""
    for kind in ('image', 'video'):
        if f'background.{kind}' in values:
            values.setdefault('background.type', kind)


def unknown_name(name: str, origin: str = '', known: Collection[str] = ()) -> str:
    """
    Return the message for an unknown parameter name, with the nearest that are known.

    :param known: names; none: those of the settings.
    """
    known = known or TUNABLES
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'did you mean {near[0]}?' if near else (
        'the nearest are ' + ', '.join(difflib.get_close_matches(name, known, n=_NEAREST, cutoff=0.0)))
    return f'{_cut(name)}{f" (from {origin})" if origin else ""} is not a known parameter: {hint}'


def _dotted(attribute: str) -> str:
    group, _, rest = attribute.partition('_')
    return f'{group}.{rest}' if group in _GROUPS else attribute


TUNABLES: dict[str, Tunable] = {
    _dotted(f.name): Tunable(_dotted(f.name), f.name, getattr(Settings, f.name), **f.metadata)
    for f in dataclasses.fields(Settings)
}


class _Loader(yaml.SafeLoader):
    """
    YAML without aliases, as ROS 2 reads it: a few aliases can expand to more values than the memory holds.

    Values on which PyYAML's constructors fail, such as ``!!bool maybe``, are refused with their place.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError('an alias (*name) is not allowed in a ROS 2 parameter file')
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            problem = f'{_shown(node.value)} is not a valid {node.tag.rpartition(":")[2]}'
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def load_yaml(path: str | Path) -> Any:
    """
    Return the content of a YAML file.

    :raises SettingsError: the file cannot be read, or is not YAML as ROS 2 reads it.
    """
    try:
        return yaml.load(read_file(path, _LARGEST_YAML).decode(), _Loader)
    except OSError as error:
        raise SettingsError({'config': f'configuration {path}: {error.strerror or error}'}) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place, reason = '', str(error)
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
            place, reason = f', line {error.problem_mark.line + 1}', f'{error.problem}'
        raise SettingsError({'config': f'configuration {path}{place}: not YAML: {reason}'}) from error


def read_yaml(path: str | Path) -> dict[str, Any]:
    """
    Read a ROS 2 parameter file: ``NODE: ros__parameters: {name: value, group: {name: value}}``.

    ``ros2 param dump`` writes it too. Names of nodes may be nested, as namespaces are. Sections for nodes other than ``/**`` and
    ``segmentation`` are ignored; a file without one for us is logged. Parameters of ROS itself (``use_sim_time``,
    ``qos_overrides``) are ignored too. Only the form is checked; :meth:`Settings.updated` checks the values.

    :returns: dotted name to value.
    :raises SettingsError: the file cannot be read or has another form.
    """
    def fail(reason: str) -> SettingsError:
        return SettingsError({'config': f'configuration {path}: {reason}'})

    sections = list(_sections(load_yaml(path)))
    wrong = next((node for node, section in sections if not isinstance(section, dict)), None)
    if wrong is not None:
        raise fail(f"takes the form of a ROS 2 parameter file, '/**:' then '{_ROS_KEY}:' then the settings"
                   + (f'; {_shown(wrong)} has them not' if wrong else ''))
    values: dict[str, Any] = {}
    ours = [section for node, section in sections if node.rpartition('/')[2] in _NODES]
    for section in ours:
        values.update(_flat(section))
    if not ours:
        _LOGGER.warning('configuration %s: nothing is taken from it: it is for %s, and this is segmentation', path,
                        _listed([node for node, _ in sections]))
    if len(values) > _MOST_NAMES:
        raise fail(f'has {len(values)} names, and there are {len(TUNABLES)} settings')
    return {name: value for name, value in values.items() if name not in _OF_ROS and not name.startswith('qos_overrides.')}


def no_section_for(node: str, path: str | Path, taken: Collection[str] | None = None) -> str:
    """
    Return what to report if no section of a ROS 2 parameter file is for a node: ROS then ignores the file.

    :param node: its full name. In a section's name ``*`` stands for one name and ``**`` for any number of them.
    :param taken: the names of the parameters that the node got, if they are known.
    :returns: a sentence; empty if a section is for the node.
    :raises SettingsError: the file cannot be read.
    """
    names = []
    for name, section in _sections(load_yaml(path)):
        given = {each for each, _ in _flat(section)} if isinstance(section, dict) else set()
        if _is_for(name, node) and (taken is None or not given or given & {*taken}):
            return ''
        names.append(str(name))
    return (f'parameter file {path}: nothing is taken from it: it is for {_listed(names)}, and this is {node}; '
            f'name the section {node} or /**')


def names_node(node: str, path: str | Path) -> bool:
    """
    Return whether a ROS 2 parameter file has a section for a node by its name: not for any node, as ``/**``.

    :param node: its full name.
    :raises SettingsError: the file cannot be read.
    """
    own = node.rpartition('/')[2]
    return any(section and name.rpartition('/')[2] == own and _is_for(name, node) for name, section in _sections(load_yaml(path)))


def _is_for(name: str, node: str) -> bool:
    """Return whether a section with this name is for a node."""
    parts = [{'**': r'(/\w+)*', '*': r'/\w+'}.get(part, '/' + re.escape(part)) for part in name.split('/') if part]
    return re.fullmatch(''.join(parts), node) is not None


def _listed(names: list[str]) -> str:
    names = [*dict.fromkeys(names)]
    more = f' and {len(names) - _MOST_LISTED} more' if len(names) > _MOST_LISTED else ''
    return _cut(', '.join(names[:_MOST_LISTED])) + more


def _sections(tree: Any, node: str = '') -> Iterator[tuple[str, Any]]:
    """Yield each node of a parameter file with its section; None if it has no section."""
    if not isinstance(tree, dict) or not tree:
        yield node, None
        return
    for key, value in tree.items():
        if key != _ROS_KEY:
            yield from _sections(value, f'{node}/{key}'.replace('//', '/') if node else str(key))
        elif value is None and node.rpartition('/')[2] not in _NODES:
            yield node, {}  # of another node, which has none
        else:
            yield node, value


def _flat(tree: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value
