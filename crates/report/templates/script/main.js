const timeline = startTimeline();
startHeat(timeline);
startFlame();
