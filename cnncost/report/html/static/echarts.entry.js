// The part of Apache ECharts that the report draws with.
import {use, init, getInstanceByDom, connect} from 'echarts/core';
import {LineChart, BarChart, TreemapChart, ScatterChart, CustomChart, GraphChart} from 'echarts/charts';
import {GridComponent, TooltipComponent, LegendComponent, DataZoomComponent, MarkLineComponent, MarkPointComponent, MarkAreaComponent, AriaComponent, TitleComponent, AxisPointerComponent} from 'echarts/components';
import {SVGRenderer} from 'echarts/renderers';
import {UniversalTransition} from 'echarts/features';
use([LineChart, BarChart, TreemapChart, ScatterChart, GridComponent, TooltipComponent, LegendComponent, DataZoomComponent, MarkLineComponent, MarkPointComponent, MarkAreaComponent, AriaComponent, AxisPointerComponent, SVGRenderer]);
window.echarts = {init, getInstanceByDom, connect};
