# SPDX-FileCopyrightText: 2026 self_segmentation contributors
# SPDX-License-Identifier: Apache-2.0
"""What judges outside of this repository call gives what the pipeline gives."""

import kinds_adapter


def test_adapter_gives_mattes_and_boxes_of_a_new_video_each_time(small):
    frames = small[55:64]
    segment, track = kinds_adapter.segmenter(['default', 'privacy']), kinds_adapter.tracker()
    first, again = segment(frames, 15.0), segment(frames, 15.0)
    assert [len(first[look]) for look in ('default', 'privacy')] == [len(frames)] * 2
    assert all((a == b).all() for look in first for a, b in zip(first[look], again[look]))
    assert first['privacy'][0].min() == 255 and 0.05 < (first['default'][-1] > 127).mean() < 0.9
    boxes = track(frames, 15.0)
    assert len(boxes) == len(frames) and boxes[-1] and all(x0 < x1 and y0 < y1 for x0, y0, x1, y1 in boxes[-1].values())
