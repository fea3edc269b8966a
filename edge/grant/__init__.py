"""The grant: what a camera may report, to whom, where and when. Nothing is reported without one."""
